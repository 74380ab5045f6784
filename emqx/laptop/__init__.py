"""The broker for laptops and tests: MQTT 3.1.1 on loopback, asking MChat over HTTP as EMQX does.

Its sessions, routing and packet codec are its own. amqtt's were looked at and left: the codec hands on a
client id or a password that is not UTF-8 as the text of a Python literal, bounds no packet and awaits once a
field; the broker acts for a client before its password is checked. Tests show these on plain amqtt.
"""
