"""moto's server, with three repairs.

What works on AWS but not on stock moto 5.2.1:

* AWS gives a new load balancer a health check; moto gives none, and the AWS
  cloud controller dereferences it.
* moto answers a listener's instance protocol with its front protocol, so the
  controller sees a difference at every sync and replaces the listener.
* Creating a bucket that another account has is refused with
  BucketAlreadyExists; with accounts kept apart, moto says AccessDenied.

Nothing else about moto changes here. An inactive access key still
authenticates, policy conditions are still ignored: tests must not rely on it.
"""

from typing import Any

from moto.elb import models
from moto.s3.exceptions import BucketAlreadyExists, BucketError
from moto.s3.models import S3Backend, s3_backends
from moto.server import main


class BucketOfSomebodyElse(BucketError):
    """Moto catches its own BucketAlreadyExists and looks into the bucket."""

    code = BucketAlreadyExists.code

    def __init__(self, bucket: str) -> None:
        super().__init__("The requested bucket name is not available.")
        self.bucket_name = bucket


def _give_new_balancers_the_default_health_check() -> None:
    """A TCP check of the first instance port, as AWS documents for a new one."""
    original = models.LoadBalancer.__init__

    def init(self: models.LoadBalancer, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        port = self.listeners[0].instance_port
        self.health_check = models.FakeHealthCheck(
            timeout="5",
            healthy_threshold="10",
            unhealthy_threshold="2",
            interval="30",
            target=f"TCP:{port}",
        )

    models.LoadBalancer.__init__ = init


def _requested_protocols(ports: list[dict[str, Any]]) -> dict[str, str]:
    return {
        str(port["LoadBalancerPort"]): port["InstanceProtocol"].upper()
        for port in ports
        if port.get("InstanceProtocol")
    }


def _remember_instance_protocols() -> None:
    """Listeners answer the instance protocol that was asked for."""
    backend = models.ELBBackend
    create_balancer = backend.create_load_balancer
    create_listeners = backend.create_load_balancer_listeners

    def instance_protocol(self: models.FakeListener) -> str:
        return getattr(self, "asked_instance_protocol", self.protocol)

    def remember(balancer: Any, ports: list[dict[str, Any]]) -> Any:
        asked = _requested_protocols(ports)
        for listener in balancer.listeners if balancer else []:
            protocol = asked.get(str(listener.load_balancer_port))
            if protocol:
                listener.asked_instance_protocol = protocol
        return balancer

    def create_load_balancer(
        self: Any, name: str, zones: Any, ports: Any, *args: Any, **kwargs: Any
    ) -> Any:
        created = create_balancer(self, name, zones, ports, *args, **kwargs)
        return remember(created, ports)

    def create_load_balancer_listeners(self: Any, name: str, ports: Any) -> Any:
        return remember(create_listeners(self, name, ports), ports)

    models.FakeListener.instance_protocol = property(instance_protocol)
    backend.create_load_balancer = create_load_balancer
    backend.create_load_balancer_listeners = create_load_balancer_listeners


def _refuse_names_of_other_accounts() -> None:
    original = S3Backend.create_bucket

    def create_bucket(self: S3Backend, bucket_name: str, *args: Any, **kwargs: Any) -> Any:
        _, owner = s3_backends.bucket_accounts.get(bucket_name, (None, None))
        if owner not in (None, self.account_id):
            raise BucketOfSomebodyElse(bucket_name)
        return original(self, bucket_name, *args, **kwargs)

    S3Backend.create_bucket = create_bucket


if __name__ == "__main__":
    _refuse_names_of_other_accounts()
    _give_new_balancers_the_default_health_check()
    _remember_instance_protocols()
    main()
