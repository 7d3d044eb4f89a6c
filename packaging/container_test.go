package packaging_test

import (
	"strings"
	"testing"
)

func TestContainerRunsWithoutRights(t *testing.T) {
	t.Parallel()
	_, last, ok := strings.Cut(read(t, "Containerfile"), "\nFROM gcr.io/distroless/static-debian12:nonroot\n")
	if !ok {
		t.Fatal("the last stage has something else below it")
	}
	for _, line := range []string{"USER 65532:65532", `ENTRYPOINT ["/usr/bin/sekisho"]`, `CMD ["serve"]`, "EXPOSE 8080", `CMD ["/usr/bin/sekisho", "healthcheck"]`} {
		if !strings.Contains(last, line) {
			t.Errorf("the image lacks %s", line)
		}
	}
	if strings.Contains(last, "RUN ") || strings.Contains(last, "EXPOSE 8081") {
		t.Error("the image runs a shell, or shows the operators' listener")
	}
}

func TestComposeShowsNginxAlone(t *testing.T) {
	t.Parallel()
	file := decode(t, "compose.yaml", read(t, "compose/compose.yaml"))[0]
	services := at(t, file, "services").(object)
	for name, service := range services {
		if _, shown := service.(object)["ports"]; shown != (name == "nginx") {
			t.Errorf("%s shows ports: %v", name, shown)
		}
	}
	for _, name := range []string{"sekisho-1", "sekisho-2"} {
		if at(t, services, name, "read_only") != true || at(t, services, name, "cap_drop", 0) != "ALL" || len(at(t, services, name, "secrets").([]any)) != 3 {
			t.Errorf("%s is not as it should be", name)
		}
		if got := at(t, services, name, "environment", "SEKISHO_TRUST_PROXY"); got != at(t, file, "networks", "inside", "ipam", "config", 0, "subnet") {
			t.Errorf("%s believes %v", name, got)
		}
	}
	for name, secret := range at(t, file, "secrets").(object) {
		if at(t, secret, "file") != "./secrets/"+name {
			t.Errorf("the secret %s comes from elsewhere", name)
		}
	}
}
