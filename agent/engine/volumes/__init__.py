"""Named volumes: directories under the instance's root that outlive every container."""
