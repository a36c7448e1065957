/** Where a device's programs hang. Two names for XDP, because a pinned link does not tell its mode. */
export type DeviceHook = 'tc_ingress' | 'tc_egress' | 'xdp' | 'xdp_generic';

const DEVICE_HOOKS: readonly string[] = ['tc_ingress', 'tc_egress', 'xdp', 'xdp_generic'];

/** Directory of link pins below the agent's pin path. */
export function linksDirectory(versionPath: string): string {
  return `${versionPath}/links`;
}

/** bpffs reserves dots in names, and VLAN devices have one: eth0.7 becomes eth0%2e7. */
export function linkPinName(hook: DeviceHook, deviceName: string): string {
  return `${hook}@${deviceName.replaceAll('%', '%25').replaceAll('.', '%2e')}`;
}

/** Undefined for names that are no device's link (socket hooks, foreign files). */
export function parseLinkPinName(name: string): { hook: DeviceHook; deviceName: string } | undefined {
  const at = name.indexOf('@');
  const hook = name.slice(0, at);
  if (at < 0 || !DEVICE_HOOKS.includes(hook)) return undefined;
  // What follows a colon only keeps two devices apart that had one name after the other.
  const encoded = name.slice(at + 1).split(':')[0] ?? '';
  const deviceName = encoded.replaceAll('%2e', '.').replaceAll('%25', '%');
  return { hook: hook as DeviceHook, deviceName };
}
