"""What guests need: KVM, libvirt, its hook, and a kernel that does not filter bridged frames."""

from __future__ import annotations

from collections.abc import Iterator

from kvmnet.core.doctor import NOTE, WARNING, Finding, examination
from kvmnet.core.live.host_facts import HostFacts
from kvmnet.core.live.live_host import version_of

_HOOK_BOOLEAN = "virt_hooks_unconfined"
#: The first version of libvirt that keeps the VLAN of a guest's NIC on a bridge with VLAN filtering.
_VLAN_ON_BRIDGE = (11, 0)


@examination("KVN630", "this host cannot run guests with KVM")
def find_missing_kvm(facts: HostFacts) -> Iterator[Finding]:
    """
    /dev/kvm does not exist: virtualization is disabled in the firmware, or the kernel modules kvm_intel or kvm_amd are
    not loaded. Guests do not start, or are very slow. The network of the host is not affected.
    """
    if not facts.has_kvm:
        yield Finding("KVN630", NOTE, "/dev/kvm does not exist", "modprobe -a kvm_intel kvm_amd")


@examination("KVN631", "libvirt is missing, stopped or old")
def find_libvirt(facts: HostFacts) -> Iterator[Finding]:
    """
    kvmnet reads running guests from libvirt, to report which of them a change affects. Without libvirt it sees only the
    devices of guests and not their names. libvirt before 11.0 refuses the VLAN of a guest's NIC (`<vlan>`) on a bridge
    with VLAN filtering.
    """
    if not facts.libvirt:
        package = "libvirt-daemon-kvm" if facts.package_manager == "dnf" else "libvirt-daemon-system"
        yield Finding("KVN631", NOTE, "libvirt is not installed", f"{facts.package_manager} install {package}")
        return
    units = ("libvirtd", "libvirtd.socket", "virtqemud", "virtqemud.socket")
    if not any(facts.service(unit).is_active for unit in units):
        unit = next((name for name in reversed(units) if facts.service(name).is_installed), "virtqemud.socket")
        yield Finding("KVN631", WARNING, "libvirt is installed but not running", f"systemctl enable --now {unit}")
    if version_of(facts.libvirt) < _VLAN_ON_BRIDGE:
        message = f"libvirt {facts.libvirt} cannot give a VLAN of a bridge with VLAN filtering to a guest (since 11.0)"
        yield Finding("KVN631", NOTE, message)


@examination("KVN632", "SELinux confines libvirt's hooks")
def find_selinux(facts: HostFacts) -> Iterator[Finding]:
    """
    SELinux is enforcing and the boolean virt_hooks_unconfined is off: hooks of libvirt may not change links. kvmnet's
    hook creates the VLAN devices of guests, so guests on logical VLANs (`attach: on-demand`) do not start. Turn the
    boolean on.
    """
    if facts.selinux and facts.libvirt and facts.booleans.get(_HOOK_BOOLEAN) is False:
        severity = WARNING if facts.has_hook else NOTE
        fix = f"setsebool -P {_HOOK_BOOLEAN} on"
        yield Finding("KVN632", severity, f"the SELinux boolean {_HOOK_BOOLEAN} is off", fix)


@examination("KVN633", "the firewall filters bridged frames")
def find_bridge_filters(facts: HostFacts) -> Iterator[Finding]:
    """
    The kernel module br_netfilter is loaded, and the settings of the message send frames between ports of a bridge
    through iptables or nftables. Rules of the host then drop the guests' traffic. Container software loads this module.
    If it needs the setting, accept the guests' traffic in the rules; otherwise turn the setting off.
    """
    if facts.bridge_filters:
        settings = " ".join(f"{name}=0" for name in facts.bridge_filters)
        message = f"bridged frames pass the firewall ({', '.join(facts.bridge_filters)})"
        yield Finding("KVN633", WARNING, message, f"sysctl -w {settings}")
