import type { Facts } from './facts.js';
import type { Choice } from './finding.js';

/** What the agent does on this machine because of what was found; it decides by the same rules. */
export function choicesOf(facts: Facts): Choice[] {
  const { features, intent, cgroup, devices } = facts;
  const choices: Choice[] = [
    features.tcx
      ? {
          what: 'tc programs',
          choice: 'tcx links, first at ingress, last at egress',
          because: 'the kernel has tcx',
        }
      : { what: 'tc programs', choice: 'clsact filters', because: 'the kernel has no tcx (Linux 6.6)' },
    socketChoice(intent.socketLb, cgroup, features.cgroupLink),
  ];
  for (const { device, hooks } of devices) {
    if (device.class !== 'uplink') continue;
    const attached = hooks.find(
      ({ hook, programs }) =>
        hook.startsWith('xdp') &&
        programs.some((p) => p.progId !== undefined && facts.ownPrograms.includes(p.progId)),
    );
    const wanted = intent.xdp === 'force' || (intent.xdp === 'auto' && device.kind === undefined);
    if (attached) choices.push({ what: device.name, choice: attached.hook, because: 'attached' });
    else if (wanted)
      choices.push({
        what: device.name,
        choice: 'xdp native if the driver takes it, else tc',
        because: `--xdp=${intent.xdp}`,
      });
    else
      choices.push({
        what: device.name,
        choice: 'tc',
        because: intent.xdp === 'off' ? '--xdp=off' : `a ${device.kind} is no real NIC`,
      });
  }
  const classes = new Map<string, number>();
  for (const { device } of devices) classes.set(device.class, (classes.get(device.class) ?? 0) + 1);
  const counted = [...classes].map(([name, count]) => `${count} ${name}`).join(', ');
  choices.push(
    {
      what: 'devices',
      choice: counted || 'none',
      because: 'kind, addresses and routes; --*-devices overrides',
    },
    {
      what: 'Services',
      choice: intent.replaceKubeProxy
        ? 'all'
        : 'those labelled service.kubernetes.io/service-proxy-name: shunt',
      because: intent.replaceKubeProxy ? '--replace-kube-proxy' : 'no --replace-kube-proxy',
    },
    {
      what: 'id reuse',
      choice: features.membarrier ? 'after membarrier' : 'after an update of a map of maps',
      because: features.membarrier
        ? 'the kernel has MEMBARRIER_CMD_GLOBAL'
        : 'membarrier is refused (nohz_full?)',
    },
  );
  return choices;
}

function socketChoice(socketLb: string, cgroup: Facts['cgroup'], cgroupLink: boolean): Choice {
  const what = "this node's processes";
  const byTc = 'tc only';
  if (socketLb === 'off') return { what, choice: byTc, because: '--socket-lb=off' };
  if (!cgroupLink) return { what, choice: byTc, because: 'the kernel has no cgroup links' };
  if (cgroup.path === undefined || !cgroup.isCgroup2) return { what, choice: byTc, because: 'no cgroup2' };
  return { what, choice: `socket hooks at ${cgroup.path}`, because: `--socket-lb=${socketLb}` };
}
