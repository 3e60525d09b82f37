"""What no manifest can say is named, each thing of it: a container that has it is left alone."""

import copy
from typing import Any

import pytest

from agent.drivers.docker import adoptable, names, unsupported
from tests.unit.drivers.docker import answers, twin

Json = dict[str, Any]


@pytest.fixture
def table(tmp_path) -> names.Names:
    return twin.table(tmp_path)


def reasons(table: names.Names, part: str, value: Any) -> tuple[str, ...]:
    """Return the unsupported features of the container created by hand after one part of it was changed."""
    changed = copy.deepcopy(answers.BY_HAND)
    changed[part] = {**changed[part], **value} if isinstance(value, dict) else value
    return adoptable.candidate(changed, twin.IMAGE, table).unsupported


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"Privileged": True}, "it is privileged"),
        ({"Devices": [{"PathOnHost": "/dev/kvm"}]}, "it has devices"),
        ({"DeviceRequests": [{"Driver": "nvidia"}]}, "it has devices"),
        ({"DeviceCgroupRules": ["c 1:3 mr"]}, "it has rules for devices"),
        ({"ExtraHosts": ["db:10.0.0.1"]}, "it has entries in /etc/hosts"),
        ({"Dns": ["10.0.0.53"]}, "it has DNS servers of its own"),
        ({"DnsSearch": ["example.org"]}, "it has DNS search domains of its own"),
        ({"DnsOptions": ["ndots:1"]}, "it has DNS options of its own"),
        ({"Links": ["/db:/web/db"]}, "it has links"),
        ({"VolumesFrom": ["db"]}, "it has the volumes of another container"),
        ({"Sysctls": {"net.core.somaxconn": "1"}}, "it has sysctls"),
        ({"GroupAdd": ["audio"]}, "it has more groups"),
        ({"CpusetCpus": "0"}, "it is bound to certain cores"),
        ({"CpusetMems": "0"}, "it is bound to certain memory"),
        ({"CpuShares": 512}, "it has CPU shares"),
        ({"CpuRealtimeRuntime": 1}, "it has real-time CPU"),
        ({"BlkioWeight": 10}, "it has an I/O weight"),
        ({"BlkioWeightDevice": [{"Path": "/dev/sda"}]}, "it has an I/O weight"),
        ({"BlkioDeviceReadBps": [{"Path": "/dev/sda"}]}, "it has I/O limits"),
        ({"BlkioDeviceWriteIOps": [{"Path": "/dev/sda"}]}, "it has I/O limits"),
        ({"OomScoreAdj": 5}, "it has an OOM score of its own"),
        ({"OomKillDisable": True}, "it is not killed when memory is short"),
        ({"StorageOpt": {"size": "1G"}}, "it has storage options"),
        ({"AutoRemove": True}, "it is removed when it ends"),
        ({"PublishAllPorts": True}, "it publishes all ports wherever the engine likes"),
        ({"UsernsMode": "host"}, "it has a user namespace of its own"),
        ({"Init": True}, "it has an init of the engine's"),
        ({"PidMode": "host"}, "its PidMode is host"),
        ({"IpcMode": "container:1"}, "its IpcMode is container:1"),
        ({"UTSMode": "host"}, "its UTSMode is host"),
        ({"NetworkMode": "container:1"}, "it is in the network of another container"),
        ({"ShmSize": 1 << 30}, "its /dev/shm has a size of its own"),
        ({"Ulimits": [{"Name": "nofile", "Hard": 5}]}, "it has ulimits"),
        ({"Runtime": "kata"}, "its runtime is kata"),
        ({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}, "it is only restarted so many times"),
        ({"SecurityOpt": ["apparmor=mine"]}, "it has the security option apparmor=mine"),
        ({"MaskedPaths": []}, "it sees all of /proc and /sys"),
        ({"ReadonlyPaths": []}, "it sees all of /proc and /sys"),
        ({"PortBindings": {"9/sctp": [{"HostPort": "9"}]}}, "it publishes 9/sctp"),
        ({"PortBindings": {"9/tcp": [{"HostIp": "::1", "HostPort": "9"}]}}, "it publishes a port on an IPv6 address"),
        ({"Tmpfs": {"/t": "rw"}}, "it has a tmpfs without a size"),
        ({"Tmpfs": {"/t": "size=1m,mode=0700"}}, "its tmpfs /t has the option mode=0700"),
        (
            {"Mounts": [{"Type": "volume", "Target": "/d", "VolumeOptions": {"Subpath": "a"}}]},
            "its mount /d has Subpath",
        ),
    ],
)
def test_setting_of_the_host__that_no_manifest_has__is_named(table: names.Names, setting: Json, reason: str) -> None:
    assert reasons(table, "HostConfig", setting) == (reason,)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"Tty": True}, "it has a terminal or an open standard input"),
        ({"OpenStdin": True}, "it has a terminal or an open standard input"),
        ({"Domainname": "example.org"}, "it has a domain name"),
        ({"MacAddress": "02:42:ac:11:00:02"}, "it has a hardware address of its own"),
        ({"Env": ["LANG"]}, "it takes LANG out of its image's environment"),
        ({"Labels": {"com.docker.swarm.task.id": "t"}}, "it belongs to an orchestrator"),
        ({"Labels": {"trimtab.dev/config": "{}"}}, "it has labels that begin with trimtab.dev/"),
    ],
)
def test_setting_of_its_own__that_no_manifest_has__is_named(table: names.Names, setting: Json, reason: str) -> None:
    assert reasons(table, "Config", setting) == (reason,)


@pytest.mark.parametrize(
    ("mount", "reason"),
    [
        ({"Type": "npipe", "Destination": "/x"}, "it has a mount of type npipe"),
        ({"Type": "bind", "Propagation": "rshared"}, "its mount /x is rshared"),
        ({"Type": "bind", "Mode": "ro,Z"}, "its mount /x is labelled for SELinux"),
    ],
)
def test_mount__that_no_manifest_has__is_named(table: names.Names, mount: Json, reason: str) -> None:
    assert reasons(table, "Mounts", [{"Source": "/s", "Destination": "/x", **mount}]) == (reason,)


@pytest.mark.parametrize(
    ("attachment", "reason"),
    [
        ({"Links": ["db:db"]}, "it has settings of its own in network shop"),
        ({"DriverOpts": {"a": "b"}}, "it has settings of its own in network shop"),
        ({"IPAMConfig": {"IPv6Address": "fd00::5"}}, "it has fixed addresses in network shop"),
    ],
)
def test_place_in_a_network__that_no_manifest_has__is_named(table: names.Names, attachment: Json, reason: str) -> None:
    assert reasons(table, "NetworkSettings", {"Networks": {"shop": attachment}}) == (reason,)


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        ({"Options": {"com.docker.network.driver.mtu": "1400"}, "IPAM": {"Driver": "default"}}, []),
        ({"Options": {"com.docker.network.enable_ipv6": "false", "mtu": "1"}, "Labels": {"a": "b"}}, []),
        ({"EnableIPv6": True}, ["has IPv6"]),
        ({"Options": {"com.docker.network.bridge.name": "br1"}}, ["has the option com.docker.network.bridge.name"]),
        ({"IPAM": {"Driver": "dhcp"}}, ["has a driver for addresses"]),
    ],
)
def test_network__with_settings_that_no_manifest_has__is_told(answer: Json, reasons: list[str]) -> None:
    assert list(unsupported.of_network(answer)) == reasons


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        ({"Driver": "local", "Options": None}, []),
        ({"Driver": "local", "Options": {}}, []),
        ({"Driver": "local", "Options": {"type": "nfs"}}, ["has options"]),
        ({"Driver": "rexray"}, ["is of driver rexray"]),
    ],
)
def test_volume__with_settings_that_no_manifest_has__is_told(answer: Json, reasons: list[str]) -> None:
    assert list(unsupported.of_volume(answer)) == reasons
