"""The way to a district.

| module     | what it is                                                                       |
|------------|----------------------------------------------------------------------------------|
| `uplink`   | one connection after the other, for ever                                         |
| `outbox`   | what goes next, and what comes back                                              |
| `alarm_lane`, `telemetry_lane` | the same within a lane                                       |
| `delivery` | pure: what is owed, settled, refused, and when it goes again                     |
| `feed`     | reads ahead from a lane, so that a slow disk does not stop the other lane        |
| `mqtt`     | one MQTT 5 connection, behind one seam                                           |
| `stream`   | its bytes: a TLS connection on the event loop                                    |
| `tls`      | who is trusted, and what we show                                                 |
"""
