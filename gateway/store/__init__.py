"""The only bytes in or out of the disk, for records and state; `journal.Journal` is the door.

| module       | on       | what it is                                                                  |
|--------------|----------|-----------------------------------------------------------------------------|
| `journal`    | the loop | one lane: commit, read after a cursor, settle                               |
| `book`       | the loop | the numbers of a lane: journal, run, next sequence, chain                   |
| `writer`     | the loop | one transaction in flight, told in time, tried again                        |
| `tail`       | the loop | what is in memory: not on the disk yet, and the newest that is              |
| `reader`     | the loop | backlog and live records on one path                                        |
| `owed`       | the loop | what its uplinks are still to get: what is gone, and told                   |
| `settlement` | the loop | what each uplink has settled                                                |
| `room`       | the loop | keeps the lane within its quota (`gateway.retention` decides)               |
| `words`      | the loop | what a lane says of itself                                                  |
| `worker`     | a thread | the disk seam: who runs the jobs of one file                                |
| `content`    | a thread | what a file holds: tables, items with their CRC                             |
| `open`       | a thread | connect, check, create; a damaged file is set aside                         |
| `file`       | a thread | transactions on the file                                                    |
| `salvage`    | a thread | what can be saved around a damaged page, or out of a damaged file           |
| `rows`       | a thread | rows as sound records                                                       |
| `seal`       | pure     | CRC and hash chain                                                          |
| `ranges`     | pure     | sets of sequence numbers                                                    |
"""
