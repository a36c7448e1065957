// Run inside a node of the box: attaches with clsact filters, as on kernels without tcx, hands over to a second
// load of the programs and takes everything away again. Prints what hangs where after each step.
import { pathToFileURL } from 'node:url';

const src = (path) => import(pathToFileURL(`${process.argv[2]}/dist/src/${path}`).href);
const { Attacher } = await src('agent/attach.js');
const { newCounters } = await src('agent/counters.js');
const { clsactPlace } = await src('agent/hook-port.js');
const { kernelHooks } = await src('agent/kernel-ports.js');
const { createLogger, WarningLog } = await src('agent/log.js');
const { BpfObject, bpfObjectPath, findClsact, Netlink } = await src('native/index.js');

const netlink = new Netlink({ events: [] });
const links = (await netlink.dumpLinks()).filter((link) => link.name !== 'lo');
netlink.close();
const devices = links.map(({ ifindex, name, mtu, kind }) => ({
  ifindex,
  name,
  mtu,
  kind,
  class: name === 'eth0' ? 'uplink' : 'pod',
}));
const existing = new Set(links.map((link) => link.ifindex));
const pins = { list: () => [], path: (name) => name, remove: () => {} };
const log = createLogger('silent');

const state = () =>
  links.flatMap(({ ifindex, name }) =>
    ['ingress', 'egress'].map((direction) => {
      const filter = findClsact(clsactPlace(ifindex, direction));
      return { name, direction, program: filter?.name, progId: filter?.progId };
    }),
  );

function attacher(object) {
  return new Attacher({
    hooks: kernelHooks(false),
    pins,
    program: (name) => object.program(name),
    xdp: 'off',
    log,
    warnings: new WarningLog(log),
    counters: newCounters(),
  });
}

const steps = [];
const first = await BpfObject.load({ path: bpfObjectPath() });
attacher(first).reconcile(devices, existing);
steps.push(state());
first.close();

const second = await BpfObject.load({ path: bpfObjectPath() });
const successor = attacher(second);
successor.adopt([...existing]);
successor.reconcile(devices, existing);
steps.push(state());
successor.reconcile([], existing);
steps.push(state());
second.close();
console.log(JSON.stringify(steps));
