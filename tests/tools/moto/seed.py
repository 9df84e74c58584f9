"""Fills an empty moto with the account that a local cluster lives in.

Reads one JSON object from standard input, writes one to standard output (the
keys are those of `Seeded` in tests/local-cluster/src/aws.rs), and ends with
IAM enforcement switched on. Every identifier is the same at every run, because
moto's random numbers are seeded first: a moto that was restarted has the same
access keys as before (its buckets are gone).
"""

import json
import sys
import urllib.request
from typing import Any

import boto3
from botocore.config import Config

REGION = "us-east-1"
ZONE = "us-east-1a"
OTHER_ACCOUNT = "222222222222"
OPERATOR = "moorage-operator"
ANYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


class Seeder:
    def __init__(self, wanted: dict[str, Any]) -> None:
        self.wanted = wanted
        self.endpoint = wanted["endpoint"]

    def client(self, service: str, account: str | None = None) -> Any:
        """A client of one account. Until enforcement is on, any key will do."""
        client = boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="seed",
            aws_secret_access_key="seed",
            config=Config(retries={"total_max_attempts": 1}),
        )
        if account:

            def choose_account(params: dict[str, Any], **_: Any) -> None:
                params["headers"]["x-moto-account-id"] = account

            client.meta.events.register("before-call.*", choose_account)
        return client

    def control(self, path: str, body: bytes) -> None:
        request = urllib.request.Request(
            f"{self.endpoint}/moto-api/{path}",
            data=body,
            headers={"Content-Type": "text/plain"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def network(self) -> dict[str, str]:
        """What the cloud controller needs before it makes a public balancer."""
        ec2 = self.client("ec2")
        cluster_tag = {
            "Key": f"kubernetes.io/cluster/{self.wanted['cluster_id']}",
            "Value": "owned",
        }
        vpc = ec2.create_vpc(CidrBlock="172.30.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(
            VpcId=vpc, CidrBlock="172.30.0.0/24", AvailabilityZone=ZONE
        )["Subnet"]["SubnetId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        table = ec2.describe_route_tables(
            Filters=[
                {"Name": "vpc-id", "Values": [vpc]},
                {"Name": "association.main", "Values": ["true"]},
            ]
        )["RouteTables"][0]["RouteTableId"]
        ec2.create_route(
            RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway
        )
        group = ec2.create_security_group(
            GroupName="nodes", Description="nodes of the cluster", VpcId=vpc
        )["GroupId"]
        ec2.create_tags(Resources=[subnet, group], Tags=[cluster_tag])
        instance = ec2.run_instances(
            ImageId="ami-12345678",
            InstanceType="t3.medium",
            MinCount=1,
            MaxCount=1,
            SubnetId=subnet,
            SecurityGroupIds=[group],
            PrivateIpAddress="172.30.0.10",
        )["Instances"][0]["InstanceId"]
        ec2.create_tags(Resources=[instance], Tags=[cluster_tag])
        return {"vpc_id": vpc, "subnet_id": subnet, "instance_id": instance}

    def certificates(self) -> dict[str, str]:
        certificate, key = (self.wanted[name] for name in ("certificate", "key"))
        acm = self.client("acm").import_certificate(
            Certificate=certificate.encode(), PrivateKey=key.encode()
        )
        iam = self.client("iam").upload_server_certificate(
            ServerCertificateName="registry-example-com",
            CertificateBody=certificate,
            PrivateKey=key,
        )
        return {
            "acm_certificate_arn": acm["CertificateArn"],
            "iam_certificate_arn": iam["ServerCertificateMetadata"]["Arn"],
        }

    def user(
        self, name: str, policy: dict[str, Any], account: str | None = None
    ) -> dict[str, str]:
        iam = self.client("iam", account)
        iam.create_user(UserName=name)
        iam.put_user_policy(
            UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy)
        )
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {
            "access_key_id": key["AccessKeyId"],
            "secret_access_key": key["SecretAccessKey"],
        }


def main() -> None:
    seeder = Seeder(json.load(sys.stdin))
    seeder.control("seed?a=42", b"")
    result: dict[str, Any] = {"region": REGION, "zone": ZONE}
    result |= seeder.network()
    result |= seeder.certificates()
    result["account_id"] = seeder.client("sts").get_caller_identity()["Account"]
    result["other_account_id"] = OTHER_ACCOUNT
    result["admin"] = seeder.user("admin", ANYTHING)
    result["cloud_controller"] = seeder.user("cloud-controller", ANYTHING)
    result["operator"] = seeder.user(OPERATOR, seeder.wanted["operator_policy"])
    result["other_account"] = seeder.user("stranger", ANYTHING, OTHER_ACCOUNT)
    # The number of calls that moto still lets pass unchecked.
    seeder.control("reset-auth", b"0")
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
