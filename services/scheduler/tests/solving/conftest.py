"""A small language for writing problems in tests: lists stand for steps, one number for all of them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from flexmodel.problem import (
    Array,
    Bands,
    Commitment,
    Coupling,
    Devices,
    Group,
    Node,
    Problem,
    Process,
    ProcessType,
    Site,
    Stocks,
    Window,
)

NONE = float("nan")
SOFT_SOC = 1e6  # currency per MWh, the default breach price
SOFT_SITE = 1e7


class Draft:
    """Collects devices, stocks and sites, and turns them into a problem."""

    def __init__(self, steps, minutes=60, start=datetime(2026, 1, 13, tzinfo=UTC)):
        self.window = Window(start, timedelta(minutes=minutes), steps)
        self.devices, self.stocks, self.sites = [], [], []
        self.nodes, self.groups, self.couplings, self.bands, self.commitments = [], [], [], [], []
        self.processes = []

    def series(self, value) -> Array:
        """A number, or a list whose length divides the number of steps."""
        values = np.atleast_1d(np.asarray(value, dtype=float))
        return np.repeat(values, self.window.steps // len(values))

    def device(
        self, low, high, stock=-1, charge=1.0, discharge=1.0, commodity="electricity", label=None, flexible=True, **soft
    ):
        """A device with power limits in MW; returns its number."""
        self.devices.append(
            {
                "label": label or f"device {len(self.devices)}",
                "commodity": commodity,
                "power_min": self.series(low),
                "power_max": self.series(high),
                "flexible": flexible,
                "stock": stock,
                "charging_efficiency": self.series(charge),
                "discharging_efficiency": self.series(discharge),
                "consumption_cap": self.series(soft.get("consumption_cap", NONE)),
                "production_cap": self.series(soft.get("production_cap", NONE)),
                "consumption_breach_price": self.series(soft.get("breach_price", NONE)),
                "production_breach_price": self.series(soft.get("breach_price", NONE)),
            }
        )
        return len(self.devices) - 1

    def fixed(self, power, commodity="electricity"):
        """An inflexible device."""
        return self.device(power, power, commodity=commodity, flexible=False)

    def stock(self, start, low=NONE, high=NONE, prefer_full=True, ramp=True, **more):
        """An energy stock in MWh; returns its number. Points are given as {step: MWh at its end}."""
        self.stocks.append(
            {
                "label": f"stock {len(self.stocks)}",
                "first_device": more.get("first_device", len(self.devices)),
                "initial": start,
                "soc_min": low,
                "soc_max": high,
                **{
                    name: self.points(more.get(name))
                    for name in ("hard_minima", "hard_maxima", "hard_targets", "minima", "maxima", "targets")
                },
                "minima_breach_price": self.series(more.get("minima_price", SOFT_SOC)),
                "maxima_breach_price": self.series(more.get("maxima_price", SOFT_SOC)),
                "storage_efficiency": self.series(more.get("storage_efficiency", 1.0)),
                "gain": self.series(more.get("gain", 0.0)),
                "tie_break": (prefer_full, ramp),
            }
        )
        return len(self.stocks) - 1

    def points(self, given) -> Array:
        """NaN except at the given steps; a list is taken as it is."""
        if isinstance(given, dict):
            values = np.full(self.window.steps, NONE)
            values[list(given)] = list(given.values())
            return values
        return self.series(NONE if given is None else given)

    def battery(self, power, start, low, high, roundtrip=1.0, stock=None, **device):
        """A two-way device with a stock of its own."""
        number = self.stock(start, low, high, **(stock or {}))
        efficiency = roundtrip**0.5
        return self.device(-power, power, number, efficiency, efficiency, **device)

    def site(self, price, feed_in=None, power=NONE, commodity="electricity", relaxed=True, **more):
        """A grid connection for all devices of the commodity; `consumption` and `production` are capacities."""
        power = self.series(power)
        caps = [np.fmin(self.series(more.get(name, NONE)), power) for name in ("consumption", "production")]
        site = {
            "commodity": commodity,
            "consumption_price": self.series(price),
            "production_price": self.series(price if feed_in is None else feed_in),
            "power_max": power if relaxed else caps[0],
            "power_min": -power if relaxed else -caps[1],
        }
        if relaxed:
            breach = self.series(more.get("breach_price", SOFT_SITE))
            site |= {
                "consumption_cap": caps[0],
                "production_cap": caps[1],
                "consumption_breach_price": breach,
                "production_breach_price": breach,
            }
        for name in ("peak_consumption", "peak_production"):
            if f"{name}_price" in more:
                site[name] = self.series(more.get(name, 0.0))
                site[f"{name}_price"] = self.series(more[f"{name}_price"])
        self.sites.append(site)

    def group(self, devices, power=NONE, consumption=None, production=None, name="sensor:1"):
        power = self.series(power)
        caps = [None if cap is None else np.fmin(self.series(cap), power) for cap in (consumption, production)]
        self.groups.append(Group(name, np.array(devices), power, -power, caps[0], caps[1], SOFT_SITE))

    def node(self, commodity):
        self.nodes.append(commodity)

    def couple(self, ports, name="converter"):
        """Ports as {device: signed coefficient}."""
        self.couplings.append(Coupling(name, np.array(list(ports)), np.array(list(ports.values()), dtype=float)))

    def modes(self, device, *bands):
        self.bands.append(Bands(device, np.array(bands, dtype=float)))

    def commit(self, baseline, up=0.0, down=0.0, devices=None, name="contract", per="power", commodity="electricity"):
        factor = self.window.hours if per == "energy" else 1.0
        members = self.of(commodity) if devices is None else np.array(devices)
        self.commitments.append(
            Commitment(
                name, commodity, members, self.series(baseline), self.series(up) * factor, self.series(down) * factor
            )
        )

    def process(self, kind, power, steps, blocked=(), commodity="electricity"):
        """A process that is planned with the others."""
        device = self.device(min(power, 0), max(power, 0), commodity=commodity)
        allowed = np.ones(self.window.steps, dtype=bool)
        allowed[list(blocked)] = False
        self.processes.append(Process(device, ProcessType(kind), power, steps, allowed))
        return device

    def of(self, commodity):
        return np.array(
            [i for i, device in enumerate(self.devices) if device["commodity"] == commodity], dtype=np.int64
        )

    def problem(self, **more) -> Problem:
        return Problem(
            window=self.window,
            currency="EUR",
            devices=self._devices(),
            stocks=self._stocks(),
            sites=tuple(Site(devices=self.of(site["commodity"]), **site) for site in self.sites),
            nodes=tuple(Node(commodity, self.of(commodity)) for commodity in self.nodes),
            groups=tuple(self.groups),
            couplings=tuple(self.couplings),
            bands=tuple(self.bands),
            commitments=tuple(self.commitments),
            processes=tuple(self.processes),
            **more,
        )

    def _devices(self):
        rows = self.devices
        texts = {"labels": tuple(row["label"] for row in rows), "commodity": tuple(row["commodity"] for row in rows)}
        plain = {
            "flexible": np.array([row["flexible"] for row in rows], dtype=bool),
            "stock": np.array([row["stock"] for row in rows], dtype=np.int64),
        }
        series = ("power_min", "power_max", "charging_efficiency", "discharging_efficiency")
        series += ("consumption_cap", "production_cap", "consumption_breach_price", "production_breach_price")
        arrays = {name: np.array([row[name] for row in rows]).reshape(-1, self.window.steps) for name in series}
        return Devices(**texts, **plain, **arrays)

    def _stocks(self):
        rows, steps = self.stocks, self.window.steps
        scalars = ("initial", "soc_min", "soc_max")
        limits = ("hard_minima", "hard_maxima", "hard_targets", "minima", "maxima", "targets")
        series = (*limits, "minima_breach_price", "maxima_breach_price", "storage_efficiency", "gain")
        return Stocks(
            labels=tuple(row["label"] for row in rows),
            first_device=np.array([row["first_device"] for row in rows], dtype=np.int64),
            tie_break_price=np.array([self._tie_break(*row["tie_break"]) for row in rows]).reshape(-1, steps),
            **{name: np.array([row[name] for row in rows], dtype=float) for name in scalars},
            **{name: np.array([row[name] for row in rows], dtype=float).reshape(-1, steps) for name in series},
        )

    def _tie_break(self, wanted, ramp):
        steps, hours = self.window.steps, self.window.hours
        if not wanted or not self.sites:
            return np.zeros(steps)
        prices = self.sites[0]["consumption_price"]
        weight = 1e-4 * ((np.ptp(prices)) or 1.0) / steps
        return (np.linspace(weight, 0, steps) if ramp else np.full(steps, weight)) / hours


@pytest.fixture
def draft():
    """The class, so that a test says `draft(24, minutes=15)`."""
    return Draft
