"""The other end: a reference receiver for the platform operator, written from docs/payloads.md alone.

    MQTT -> inbox -> record (envelope) -> store (one transaction a batch) -> receipts
                                  |- content   what a body says
                                  |- journals  which numbers are here, on the disk
                                  '- sequence  the same, pure

It imports nothing of the gateway, so that what the reference forgets to say is noticed here first.
"""
