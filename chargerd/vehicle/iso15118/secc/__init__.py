"""Sessions of the station's side (SECC), sans I/O: messages and `now` in, values out.

One module per protocol family; flow.py is what they share. Must never read a clock,
open a socket or know how a message is coded.
"""
