"""The only bytes in or out of the field.

| module     | what it is                                                                       |
|------------|----------------------------------------------------------------------------------|
| `bus`      | one line or connection: drives a driver's poll, opens its port again             |
| `wire`     | its line side: whose answer it is, silences, draining, loss                      |
| `seams`    | what a wire is given and what it tells                                           |
| `line`     | pure: characters, silences, what of the received bytes is the reply, draining    |
| `port`     | opens serial ports and sockets, and opens them again                             |
| `aside`    | calls that may hang, each on a daemon thread of its own                          |
| `timer`    | one deadline a bus; a precise one for silences shorter than the loop's clock     |
| `listener` | a TCP port on which terminals call us                                            |
| `datagrams`| a UDP port on which terminals send                                               |
| `voices`   | who speaks on such a port: silence, strangers, what was heard                    |
"""
