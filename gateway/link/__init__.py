"""The way to a district.

| module     | what it is                                                                       |
|------------|----------------------------------------------------------------------------------|
| `uplink`   | one connection after the other, for ever                                         |
| `outbox`   | what goes next, and what comes back                                              |
| `delivery` | pure: what is owed, settled, refused, and when it goes again                     |
| `feed`     | reads ahead from a lane, so that a slow disk does not stop the other lane        |
| `mqtt`     | MQTT 5 sessions: paho on the event loop, behind one seam                         |
| `tls`      | certificates, and a socket that takes no memory for what nobody asked            |
"""
