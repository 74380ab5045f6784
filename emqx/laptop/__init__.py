"""The broker for laptops and tests: MQTT 3.1.1 on loopback, asking MChat over HTTP as EMQX does.

Its authenticators, authorization sources, rules, connectors and actions are objects that its REST API (`rest`)
reads and changes as EMQX's does. They live as long as the process: a restart begins with the settings again.

Its sessions, routing and packet codec are its own. amqtt's were looked at and left: the codec hands on a
client id or a password that is not UTF-8 as the text of a Python literal, bounds no packet and awaits once a
field; the broker acts for a client before its password is checked. Tests show these on plain amqtt.
"""
