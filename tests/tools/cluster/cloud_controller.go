package main

import (
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/util/wait"
	cloudprovider "k8s.io/cloud-provider"
	aws "k8s.io/cloud-provider-aws/pkg/providers/v1"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	"k8s.io/cloud-provider/names"
	"k8s.io/cloud-provider/options"
	"k8s.io/component-base/cli"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/klog/v2"
)

// runCloudController is the AWS cloud controller manager without its tagging
// controller: upstream keeps the wiring in a main package, which no other
// program can import.
func runCloudController() int {
	opts, err := options.NewCloudControllerManagerOptions()
	if err != nil {
		fmt.Fprintf(os.Stderr, "failed to make the options of the cloud controller: %v\n", err)
		return 1
	}
	return cli.Run(app.NewCloudControllerManagerCommand(
		opts, newCloud, app.DefaultInitFuncConstructors, names.CCMControllerAliases(),
		cliflag.NamedFlagSets{}, wait.NeverStop))
}

func newCloud(completed *config.CompletedConfig) cloudprovider.Interface {
	file := completed.ComponentConfig.KubeCloudShared.CloudProvider.CloudConfigFile
	cloud, err := cloudprovider.InitCloudProvider(aws.ProviderName, file)
	if err != nil {
		klog.Fatalf("failed to initialise the cloud provider from %s: %v", file, err)
	}
	if cloud == nil || !cloud.HasClusterID() {
		klog.Fatalf("cloud config %s names no KubernetesClusterID", file)
	}
	return cloud
}
