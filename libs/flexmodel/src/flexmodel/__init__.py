"""The domain of Flexmesh: quantities, time, flex-model, flex-context, problem and schedule. Pure: no I/O."""
