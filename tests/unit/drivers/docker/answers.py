"""What Docker 20.10 and Podman 4.3 really answered about containers that others had made, cut short."""

from typing import Any

from tests.unit.drivers.docker import twin

Json = dict[str, Any]
SHORT = twin.ID[:12]
COMPOSE: Json = {
    "Id": twin.ID,
    "Name": "/my_shop_web_1",
    "Path": "/bin/httpd",
    "Args": ["-f", "-p", "80"],
    "Image": twin.IMAGE["Id"],
    "Config": {
        "Hostname": SHORT,
        "User": "app",
        "Env": ["ZONE=UTC", "WORDS=two words", "PATH=/bin", "LANG=C.UTF-8"],
        "Cmd": ["-f", "-p", "80"],
        "Entrypoint": ["/bin/httpd"],
        "Image": "app:1",
        "WorkingDir": "/srv",
        "StopSignal": "SIGQUIT",
        "StopTimeout": 0,
        "Healthcheck": {"Test": ["CMD", "curl", "-f"], "Interval": 5_000_000_000, "Retries": 2},
        "Labels": {"com.docker.compose.project": "my_shop", "of.the.image": "yes", "app": "the image's"},
    },
    "HostConfig": {
        "Binds": ["my_shop_data:/data:rw"],
        "NetworkMode": "my_shop_default",
        "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18090"}]},
        "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
        "VolumesFrom": [],
        "CapAdd": None,
        "IpcMode": "private",
        "ShmSize": 67108864,
        "Runtime": "runc",
        "MaskedPaths": ["/proc/asound"],
        "OomKillDisable": False,
    },
    "Mounts": [
        {
            "Type": "volume",
            "Name": "my_shop_data",
            "Source": "/d",
            "Destination": "/data",
            "Driver": "local",
            "Mode": "z",
            "RW": True,
            "Propagation": "",
        }
    ],
    "NetworkSettings": {
        "Ports": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18090"}]},
        "Networks": {
            "my_shop_default": {
                "IPAMConfig": None,
                "Links": None,
                "Aliases": ["web", SHORT, "my_shop_web_1"],
                "DriverOpts": None,
                "IPAddress": "172.18.0.3",
            }
        },
    },
}
BY_HAND: Json = {
    "Id": twin.ID,
    "Name": "/byhand",
    "Path": "/entry",
    "Args": ["/bin/sleep", "1000"],
    "Image": twin.IMAGE["Id"],
    "Config": {
        "Hostname": SHORT,
        "Env": [
            "PATH=/bin",
            "TERM=xterm",
            "container=podman",
            "X=1",
            "HOME=/root",
            f"HOSTNAME={SHORT}",
            "LANG=C.UTF-8",
        ],
        "Cmd": ["/bin/sleep", "1000"],
        "Entrypoint": ["/entry"],
        "Image": "docker.io/library/app:1",
        "WorkingDir": "/srv",
        "User": "app",
        "StopSignal": "3",
        "StopTimeout": 10,
        "Labels": {},
    },
    "HostConfig": {
        "NetworkMode": "bridge",
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "34841"}], "443/tcp": None},
        "RestartPolicy": {"Name": "", "MaximumRetryCount": 0},
        "Tmpfs": {"/t": "size=1m,rw,rprivate,nosuid,nodev,tmpcopyup"},
        "IpcMode": "shareable",
        "PidMode": "private",
        "UTSMode": "private",
        "ShmSize": 65536000,
        "Runtime": "oci",
        "CapAdd": [],
        "SecurityOpt": [],
        "MaskedPaths": None,
        "Memory": 67108864,
        "NanoCpus": 500000000,
        "CpuPeriod": 100000,
        "CpuQuota": 50000,
        "PidsLimit": 2048,
        "Ulimits": [{"Name": "RLIMIT_NOFILE", "Hard": 1024}, {"Name": "RLIMIT_NPROC", "Hard": 4096}],
    },
    "Mounts": [
        {
            "Type": "bind",
            "Source": "/tmp",
            "Destination": "/x",
            "Driver": "",
            "Mode": "",
            "RW": False,
            "Propagation": "rprivate",
        }
    ],
    "NetworkSettings": {"Networks": {"podman": {"IPAMConfig": None, "Aliases": [SHORT], "IPAddress": "10.88.0.2"}}},
}
