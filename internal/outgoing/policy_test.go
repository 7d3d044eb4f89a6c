package outgoing_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/outgoing"
)

// deniedAddresses are those of checks S1 and their neighbours: the first and
// last of each block.
var deniedAddresses = []string{
	"0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255",
	"127.0.0.1", "127.255.255.255", "169.254.0.0", "169.254.169.254", "172.16.0.0", "172.31.255.255",
	"192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255",
	"198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
	"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1",
	"64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "fc00::1", "fd00::1", "fdff:ffff::1",
	"fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1",
	"5f00::1", "1fff::1", "4000::1",
}

var publicAddresses = []string{
	"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
	"172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
	"2606:4700::1111", "2001:200::1", "2a00::1", "::ffff:8.8.8.8",
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	check := func(policy outgoing.Policy, address, port string) error {
		to := netip.AddrPortFrom(netip.MustParseAddr(address), 443).String()
		to = strings.TrimSuffix(to, "443") + port
		network := "tcp4"
		if strings.Contains(address, ":") {
			network = "tcp6"
		}
		return policy.CheckAddress(network, to, false)
	}
	for _, address := range deniedAddresses {
		if err := check(outgoing.Policy{}, address, "443"); !errors.Is(err, outgoing.ErrAddress) {
			t.Errorf("%s: got %v", address, err)
		}
		if err := (outgoing.Policy{}).CheckURL("https://" + inURL(address) + "/"); !errors.Is(err, outgoing.ErrAddress) {
			t.Errorf("%s in a URL: got %v", address, err)
		}
	}
	for _, address := range publicAddresses {
		if err := check(outgoing.Policy{}, address, "443"); err != nil {
			t.Errorf("%s: got %v", address, err)
		}
		if err := (outgoing.Policy{}).CheckURL("https://" + inURL(address) + "/"); err != nil {
			t.Errorf("%s in a URL: got %v", address, err)
		}
		for _, port := range []string{"80", "22", "8443", "0"} {
			if err := check(outgoing.Policy{}, address, port); !errors.Is(err, outgoing.ErrAddress) {
				t.Errorf("%s port %s: got %v", address, port, err)
			}
		}
	}
	for _, network := range []string{"tcp", "udp4", "unix", ""} {
		if err := (outgoing.Policy{}).CheckAddress(network, "1.1.1.1:443", false); !errors.Is(err, outgoing.ErrAddress) {
			t.Errorf("network %q: got %v", network, err)
		}
	}
	if err := (outgoing.Policy{}).CheckAddress("tcp4", "/run/docker.sock", false); !errors.Is(err, outgoing.ErrAddress) {
		t.Errorf("no address: got %v", err)
	}
}

func inURL(address string) string {
	if strings.Contains(address, ":") {
		return "[" + address + "]"
	}
	return address
}

func TestNetworksOpenWhatTheyName(t *testing.T) {
	t.Parallel()
	policy := outgoing.Policy{Networks: []netip.Prefix{
		netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd12::/16"), netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("0.0.0.0/8"),
	}}
	for address, open := range map[string]bool{
		"10.1.2.3:8443": true, "[::ffff:10.1.2.3]:80": true, "[fd12::1]:443": true, "1.1.1.1:443": true,
		"10.2.0.1:443": false, "1.1.1.1:8443": false, "[fd13::1]:443": false, "127.0.0.1:443": false,
		"169.254.169.254:443": false, "[fe80::1]:443": false, "224.0.0.1:443": false, "0.0.0.0:443": false, "10.1.2.3:0": false,
	} {
		network := "tcp4"
		if strings.HasPrefix(address, "[") {
			network = "tcp6"
		}
		if err := policy.CheckAddress(network, address, false); (err == nil) != open {
			t.Errorf("%s: got %v", address, err)
		}
		if err := policy.CheckURL("https://" + address + "/"); (err == nil) != open {
			t.Errorf("%s in a URL: got %v", address, err)
		}
	}
	// Plain http stays on this machine, and none of the networks opens it.
	policy.InsecureHTTP = true
	for address, open := range map[string]bool{
		"127.0.0.1:8080": true, "127.9.9.9:80": true, "10.1.2.3:80": false, "1.1.1.1:443": false, "1.1.1.1:80": false,
	} {
		if err := policy.CheckAddress("tcp4", address, true); (err == nil) != open {
			t.Errorf("http %s: got %v", address, err)
		}
		if err := policy.CheckURL("http://" + address + "/"); (err == nil) != open {
			t.Errorf("http %s in a URL: got %v", address, err)
		}
	}
	policy.InsecureHTTP = false
	if err := policy.CheckAddress("tcp4", "127.0.0.1:80", true); !errors.Is(err, outgoing.ErrAddress) {
		t.Errorf("http without leave: got %v", err)
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	within := outgoing.Policy{Networks: loopback}
	develop := outgoing.Policy{InsecureHTTP: true}
	cases := []struct {
		url    string
		policy outgoing.Policy
		want   error
	}{
		{"https://pay.example/hook", outgoing.Policy{}, nil},
		{"https://PAY.example:443/hook?a=b", outgoing.Policy{}, nil},
		{"https://xn--bcher-kva.example/", outgoing.Policy{}, nil},
		{"https://my_host.example/", outgoing.Policy{}, nil},
		{"https://0x7f.example/", outgoing.Policy{}, nil},
		{"https://pay.example/" + strings.Repeat("a", 2048-20), outgoing.Policy{}, nil},
		{"https://pay.example:8443/", within, nil}, // judged at the connection
		{"https://localhost:8443/", within, nil},
		{"http://localhost:8080/", develop, nil},
		{"http://pay.localhost/", develop, nil},
		{"http://pay.internal:8080/", develop, nil}, // judged at the connection

		{"", outgoing.Policy{}, outgoing.ErrURL},
		{"pay.example", outgoing.Policy{}, outgoing.ErrURL},
		{"/hook", outgoing.Policy{}, outgoing.ErrURL},
		{"//pay.example/hook", outgoing.Policy{}, outgoing.ErrURL},
		{"https:pay.example", outgoing.Policy{}, outgoing.ErrURL},
		{"https:///hook", outgoing.Policy{}, outgoing.ErrURL},
		{"https://:443/", outgoing.Policy{}, outgoing.ErrURL},
		{"http://pay.example/", outgoing.Policy{}, outgoing.ErrURL},
		{"http://127.0.0.1/", within, outgoing.ErrURL},
		{"file:///etc/passwd", develop, outgoing.ErrURL},
		{"gopher://pay.example/", develop, outgoing.ErrURL},
		{"unix:///run/docker.sock", develop, outgoing.ErrURL},
		{"ftp://pay.example/", outgoing.Policy{}, outgoing.ErrURL},
		{"ws://pay.example/", outgoing.Policy{}, outgoing.ErrURL},
		{"javascript:alert(1)", outgoing.Policy{}, outgoing.ErrURL},
		{"https://user@pay.example/", outgoing.Policy{}, outgoing.ErrURL},
		{"https://user:password@pay.example/", outgoing.Policy{}, outgoing.ErrURL},
		{"https://pay.example@127.0.0.1/", outgoing.Policy{}, outgoing.ErrURL},
		{"https://@127.0.0.1/", outgoing.Policy{}, outgoing.ErrURL},
		{"https://pay.example\\@127.0.0.1/", outgoing.Policy{}, outgoing.ErrURL},
		{"https://pay.example#@127.0.0.1/", outgoing.Policy{}, outgoing.ErrURL},
		{"https://pay.example/#part", outgoing.Policy{}, outgoing.ErrURL},
		{"https://pay.example/a b", outgoing.Policy{}, outgoing.ErrURL},
		{"https://pay.example/\r\nHost: x", outgoing.Policy{}, outgoing.ErrURL},
		{" https://pay.example/", outgoing.Policy{}, outgoing.ErrURL},
		{"https://bücher.example/", outgoing.Policy{}, outgoing.ErrURL},
		{"https://ｌｏｃａｌｈｏｓｔ/", outgoing.Policy{}, outgoing.ErrURL},
		{"https://127。0。0。1/", outgoing.Policy{}, outgoing.ErrURL},
		{"https://%6cocalhost/", outgoing.Policy{}, outgoing.ErrURL},
		{"https://pay.example:99999999/", outgoing.Policy{}, outgoing.ErrAddress},
		{"https://pay.example/" + strings.Repeat("a", 2048-19), outgoing.Policy{}, outgoing.ErrURL},

		{"https://localhost/", outgoing.Policy{}, outgoing.ErrAddress},
		{"https://LOCALHOST/", outgoing.Policy{}, outgoing.ErrAddress},
		{"https://a.localhost/", outgoing.Policy{}, outgoing.ErrAddress},
		{"https://localhost./", outgoing.Policy{}, outgoing.ErrAddress},
		{"https://pay.example./", outgoing.Policy{}, outgoing.ErrAddress},
		{"https://127.0.0.1./", outgoing.Policy{}, outgoing.ErrAddress},
		{"https://pay..example/", outgoing.Policy{}, outgoing.ErrAddress},
		{"https://pay.example,127.0.0.1/", outgoing.Policy{}, outgoing.ErrAddress},
		{"https://2130706433/", within, outgoing.ErrAddress},
		{"https://0177.0.0.1/", within, outgoing.ErrAddress},
		{"https://0x7f.0.0.1/", within, outgoing.ErrAddress},
		{"https://0x7f000001/", within, outgoing.ErrAddress},
		{"https://0X7F000001/", within, outgoing.ErrAddress},
		{"https://127.0.0.0x1/", within, outgoing.ErrAddress},
		{"https://127.0x/", within, outgoing.ErrAddress},
		{"https://127.1/", within, outgoing.ErrAddress},
		{"https://127.0.0.01/", within, outgoing.ErrAddress},
		{"https://[::1%25lo]/", within, outgoing.ErrAddress},
		{"https://[fe80::1%25eth0]/", within, outgoing.ErrAddress},
		{"https://pay.example:8443/", outgoing.Policy{}, outgoing.ErrAddress},
		{"https://pay.example:80/", outgoing.Policy{}, outgoing.ErrAddress},
		{"https://pay.example:/", outgoing.Policy{}, outgoing.ErrAddress},
		{"https://pay.example:0443/", within, outgoing.ErrAddress},
		{"https://pay.example:0/", within, outgoing.ErrAddress},
		{"https://pay.example:65979/", within, outgoing.ErrAddress},
		{"https://localhost/", develop, outgoing.ErrAddress}, // plain http alone was allowed
		{"http://1.1.1.1/", develop, outgoing.ErrAddress},
		{"http://1.1.1.1:443/", develop, outgoing.ErrAddress},
	}
	for _, c := range cases {
		if err := c.policy.CheckURL(c.url); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%.60q: got %v, want %v", c.url, err, c.want)
		}
	}
}
