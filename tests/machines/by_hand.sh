#!/bin/bash
# The whole change of the manual section, done by hand inside a machine, with what nmcli, ip and nmstatectl offer:
#   by_hand.sh do      trial, then kept
#   by_hand.sh undo    back to the state before
# It is the measure for how long the address is away. Whoever runs it lives with what a person typing this has: no
# journal, no watchdog; the network's own checkpoint covers only the trial.
set -euo pipefail
nic=eth0 new=peth0 address=10.1.255.254 prefix=16 gateway=10.1.1.1
mac=$(cat /sys/class/net/$nic/address)
link=00-by-hand-$new.link
keep=/var/lib/by-hand
settle() { udevadm settle --timeout=10; }

rename() {      # rename OLD NEW: while up where the kernel allows it (6.2 and later), else down and up
  ip link set "$1" name "$2" 2>/dev/null && return
  ip link set "$1" down; ip link set "$1" name "$2"; ip link set "$2" up
}

profile_of() { nmcli -g GENERAL.CON-UUID device show "$1"; }

wait_address() {        # wait_address DEVICE
  for _ in $(seq 100); do ip -4 address show dev "$1" 2>/dev/null | grep -q "inet $address/" && return; sleep 0.1; done
  echo "no $address on $1" >&2; return 1
}

do_it() {
  mkdir -p $keep /run/systemd/network
  local uuid zone file
  uuid=$(profile_of $nic)
  zone=$(nmcli -g connection.zone connection show "$uuid")
  file=$(nmcli -t -f UUID,FILENAME connection show | sed -n "s/^$uuid://p")
  ip link show $nic | sed -n 's/^ *altname //p' >$keep/altnames
  cp -p "$file" $keep/profile; printf '%s\n' "$file" >$keep/file
  # 0. the NIC's new name, for udev, before the rename: udev would give the old name back as an alternative name
  printf '[Match]\nPermanentMACAddress=%s\n[Link]\nName=%s\n' "$mac" $new >/run/systemd/network/$link
  udevadm control --reload
  # 1. the profile follows the MAC, and its id gives the name free for the bridge
  nmcli connection modify "$uuid" connection.id $new connection.interface-name "" 802-3-ethernet.mac-address "$mac"
  # 2. the rename; the zone is bound to the name, so it must be bound again at once
  rename $nic $new
  if [ -n "$zone" ]; then firewall-cmd -q --zone="$zone" --change-interface=$new; fi
  wait_address $new
  # 3. the bridge, in memory and not committed
  nmstatectl apply --no-commit --memory-only --timeout 60 - >/dev/null 2>$keep/log <<Y
interfaces:
- {name: $new, type: ethernet, state: up, accept-all-mac-addresses: true, ipv4: {enabled: false}, ipv6: {enabled: false}}
- name: $nic
  type: linux-bridge
  state: up
  mac-address: $mac
  ipv4: {enabled: true, dhcp: false, address: [{ip: $address, prefix-length: $prefix}]}
  ipv6: {enabled: true, autoconf: false, dhcp: false}
  bridge: {options: {stp: {enabled: false}}, port: [{name: $new}]}
routes:
  config: [{destination: 0.0.0.0/0, next-hop-interface: $nic, next-hop-address: $gateway, metric: 425}]
Y
  local bridge; bridge=$(profile_of $nic)
  if [ -n "$zone" ]; then nmcli connection modify --temporary "$bridge" connection.zone "$zone"; fi
  wait_address $nic
  ping -q -c 3 -i 0.2 -W 2 $gateway >/dev/null
  # kept, in this order: a power cut between two of these leaves a machine that boots with its address
  nmstatectl commit >/dev/null 2>>$keep/log
  mkdir -p /etc/systemd/network; cp /run/systemd/network/$link /etc/systemd/network/; rm /run/systemd/network/$link
  udevadm control --reload
  local profile path
  for profile in $(profile_of $new) $bridge; do
    path=$(nmcli -t -f DBUS-PATH,UUID connection show | sed -n "s/:$profile\$//p")
    busctl -q call org.freedesktop.NetworkManager "$path" org.freedesktop.NetworkManager.Settings.Connection Save
  done
  sync
}

undo_it() {
  local zone uuid
  uuid=$(sed -n 's/^uuid=//p' $keep/profile)
  zone=$(sed -n 's/^zone=//p' $keep/profile)
  rm -f /etc/systemd/network/$link /run/systemd/network/$link
  # Removing a bridge does not give the NIC its address back: the old profile must win the NIC first.
  nmcli --wait 20 connection delete "$(profile_of $nic)" "$(profile_of $new)" >/dev/null 2>&1 || true
  ip link delete $nic 2>/dev/null || true
  mkdir -p /run/systemd/network
  printf '[Match]\nPermanentMACAddress=%s\n[Link]\nName=%s\n' "$mac" $nic >/run/systemd/network/$link
  udevadm control --reload
  ip link property del dev $new altname $nic 2>/dev/null || true
  rename $new $nic
  settle
  rm -f /run/systemd/network/$link; udevadm control --reload
  while read -r name; do        # a boot under our .link gave it none
    ip link property add dev $nic altname "$name" 2>/dev/null || true
  done <$keep/altnames
  cp -p $keep/profile "$(cat $keep/file)"
  nmcli connection reload
  nmcli --wait 20 connection up uuid "$uuid" >/dev/null
  if [ -n "$zone" ]; then firewall-cmd -q --zone="$zone" --change-interface=$nic; fi
  wait_address $nic
  rm -rf $keep; sync
}

case ${1:-} in do) do_it;; undo) undo_it;; *) echo "usage: $0 do|undo" >&2; exit 2;; esac
