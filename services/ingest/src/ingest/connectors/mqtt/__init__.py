"""MQTT: devices publish readings, brokers pass them on, and readings become events of sensors."""
