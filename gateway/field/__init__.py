"""The only bytes in or out of the field.

| module     | what it is                                                                       |
|------------|----------------------------------------------------------------------------------|
| `bus`      | one line or connection: drives a driver's poll from the reader callback          |
| `line`     | pure: characters, silences, what of the received bytes is the reply, draining    |
| `port`     | opens serial ports and sockets, and opens them again                             |
| `timer`    | one deadline a bus; a precise one for silences shorter than the loop's clock     |
| `listener` | a port on which terminals call us                                                |
"""
