// The socket hooks: a process of this node talks to the backend from its connect or sendmsg on.
import { PROTOCOL } from '../packet/spec.js';
import { type Chooser, NODE_CLIENT, type Target } from './choice.js';
import type { Backend, Settings, SocketPrediction, SocketRequest } from './types.js';

interface Remembered {
  backend: Backend;
  generation: number;
  serviceId: number;
}

interface At {
  ip: string;
  port: number;
}

const UNTOUCHED = { allowed: true, to: [], paths: [], follow() {} };
const REFUSED = { allowed: false, to: [], paths: ['SOCK_REFUSED'], follow() {} };

export class ReferenceSockets {
  readonly #settings: Settings;
  readonly #chooser: Chooser;
  /** By socket and frontend: an unconnected UDP socket stays where it was. */
  readonly #stays = new Map<string, Remembered>();
  /** By socket and backend: whom the process thinks it talks to. */
  readonly #names = new Map<string, At>();

  constructor(settings: Settings, chooser: Chooser) {
    this.#settings = settings;
    this.#chooser = chooser;
  }

  predict(r: SocketRequest): SocketPrediction {
    const isHost = r.netns === this.#settings.hostNetns;
    if (!isHost && !this.#settings.socketsOfPods) return UNTOUCHED;
    if (r.hook === 'recvmsg') {
      const name = this.#names.get(key(r, r));
      return name ? { ...UNTOUCHED, to: [name] } : UNTOUCHED;
    }
    if (r.hook === 'connect' && r.proto !== PROTOCOL.tcp && r.proto !== PROTOCOL.udp) return UNTOUCHED;
    const address = this.#chooser.address(r.ip);
    if (!address || (address.loopback && !isHost)) return UNTOUCHED;
    const target = this.#chooser.frontend(r.ip, r.port, r.proto);
    // A UDP connect always succeeds; the refusal comes with a datagram.
    const isUdpConnect = r.hook === 'connect' && r.proto === PROTOCOL.udp;
    const refused = isUdpConnect ? UNTOUCHED : REFUSED;
    if (!target) return address.clusterIp && !address.node ? refused : UNTOUCHED;
    // Only the packet path knows a pod's address, and drops whom it must not let pass.
    if (isHost ? !this.#chooser.isAllowed(target, '', true) : this.#needsClient(target)) return UNTOUCHED;
    return this.#translate(r, target, isUdpConnect, refused);
  }

  #needsClient({ service, front }: Target): boolean {
    return front.ranges !== undefined || service.affinity !== undefined;
  }

  #translate(
    r: SocketRequest,
    target: Target,
    isUdpConnect: boolean,
    refused: SocketPrediction,
  ): SocketPrediction {
    const paths = [r.hook === 'connect' ? 'SOCK_CONNECT' : 'SOCK_SENDMSG'];
    const { service } = target;
    // By default a connected UDP socket's packets are translated on their way out, which cannot be done for
    // a backend that is this node itself.
    const stays = r.proto === PROTOCOL.udp ? this.#stays.get(key(r, r)) : undefined;
    const packetsInstead = isUdpConnect && !this.#settings.socketUdpConnect;
    const isUsable = (b: Backend) => !packetsInstead || this.#chooser.nodeAddresses.has(b.ip);
    if (stays && stays.serviceId === service.id && isServing(stays) && isUsable(stays.backend)) {
      return { allowed: true, to: [at(stays.backend)], paths, follow() {} };
    }
    const slots = this.#chooser.slots(target, true);
    if (slots === 'refuse') return refused;
    if (slots === 'drop') return UNTOUCHED;
    const known = this.#chooser.remembered(target, true, NODE_CLIENT);
    const candidates = known ? [known] : slots;
    const usable = candidates.filter(isUsable);
    const follow = (to: At) => {
      const backend = usable.find((b) => b.ip === to.ip && b.port === to.port);
      if (!backend) return;
      this.#names.set(key(r, at(backend)), { ip: r.ip, port: r.port });
      if (r.proto === PROTOCOL.udp) {
        this.#stays.set(key(r, r), { backend, generation: backend.generation, serviceId: service.id });
      }
      if (!known) this.#chooser.remember(target, NODE_CLIENT, backend);
    };
    if (usable.length === 0) return UNTOUCHED;
    if (usable.length < candidates.length)
      return { allowed: true, to: usable.map(at), paths, follow, maybe: true };
    return { allowed: true, to: usable.map(at), paths, follow };
  }
}

const at = ({ ip, port }: Backend): At => ({ ip, port });
const key = (r: SocketRequest, to: At): string => `${r.cookie} ${r.proto} ${to.ip} ${to.port}`;
const isServing = ({ backend, generation }: Remembered): boolean =>
  backend.generation === generation && (backend.condition === 'ready' || backend.condition === 'terminating');
