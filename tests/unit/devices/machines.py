"""Facts of devices as the kernel tells them, for tests."""

from dataclasses import replace

from berth_devices.discovery.facts import Facts, Number

ARM = Facts(
    node="/dev/ttyUSB0",
    number=Number(188, 0),
    subsystem="tty",
    vendor="0403",
    product="6001",
    serial="A7",
    port="0000:00:14.0-usb2-1",
    unit="00",
    index="0",
    links=("/dev/serial/by-id/usb-FTDI_FT232R_A7-if00-port0", "/dev/serial/by-path/pci-0000:00:14.0-usb-0:1:1.0"),
    devpath="/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/ttyUSB0/tty/ttyUSB0",
    usb="/devices/pci0000:00/0000:00:14.0/usb1/1-1",
)
CAMERA = Facts(
    node="/dev/video0",
    number=Number(81, 0),
    subsystem="video4linux",
    vendor="046d",
    product="0825",
    port="0000:00:14.0-usb2-2",
    unit="00",
    index="0",
    devpath="/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/video4linux/video0",
    usb="/devices/pci0000:00/0000:00:14.0/usb1/1-2",
)
CONSOLE = Facts(
    node="/dev/tty1", number=Number(4, 1), subsystem="tty", devpath="/devices/virtual/tty/tty1", port="/devices/virtual"
)
ARM_ON_USB = replace(
    ARM,
    node="/dev/bus/usb/001/002",
    number=Number(189, 1),
    subsystem="usb",
    unit="",
    index="",
    links=(),
    devpath=ARM.usb,
)


def replugged(facts: Facts, number: int) -> Facts:
    """The same device after it got another node."""
    node = f"{facts.node.rstrip('0123456789')}{number}"
    devpath = facts.devpath.rpartition("/")[0] + node.removeprefix("/dev")
    return replace(facts, node=node, number=Number(facts.number.major, number), devpath=devpath)


def pty(path: str, number: int, serial: str) -> Facts:
    """A listed pseudo terminal."""
    return Facts(
        node=f"/dev/pts/{number}",
        number=Number(136, number),
        serial=serial,
        port=path,
        links=(path,),
        listed=True,
        kind="serial",
    )
