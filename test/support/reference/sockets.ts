// The socket hooks: a process of this node talks to the backend from its connect or sendmsg on.
import { PROTOCOL } from '../packet/spec.js';
import { type Chooser, NODE_CLIENT, type Target } from './choice.js';
import type { Backend, Settings, SocketPrediction, SocketRequest } from './types.js';

interface Remembered {
  /** Undefined: its datagrams are translated where they leave. */
  backend: Backend | undefined;
  to?: At;
  generation: number;
  serviceId: number;
}

interface At {
  ip: string;
  port: number;
}

interface Name extends At {
  serviceId: number;
}

const UNTOUCHED = { allowed: true, to: [], paths: [], follow() {} };
const REFUSED = { allowed: false, to: [], paths: ['SOCK_REFUSED'], follow() {} };

export class ReferenceSockets {
  readonly #settings: Settings;
  readonly #chooser: Chooser;
  /** By socket and frontend: an unconnected UDP socket stays where it was. */
  readonly #stays = new Map<string, Remembered>();
  /** By socket and backend: whom the process thinks it talks to. */
  readonly #names = new Map<string, Name>();

  constructor(settings: Settings, chooser: Chooser) {
    this.#settings = settings;
    this.#chooser = chooser;
  }

  predict(r: SocketRequest): SocketPrediction {
    const isHost = r.netns === this.#settings.hostNetns;
    if (!isHost && !this.#settings.socketsOfPods) return UNTOUCHED;
    if (r.hook === 'recvmsg') {
      const name = this.#names.get(key(r, r));
      return name ? { ...UNTOUCHED, to: [at(name)] } : UNTOUCHED;
    }
    if (r.hook === 'connect' && r.proto !== PROTOCOL.tcp && r.proto !== PROTOCOL.udp) return UNTOUCHED;
    const address = this.#chooser.address(r.ip);
    if (!address) {
      if (isDatagram(r)) this.#straight(r);
      return UNTOUCHED;
    }
    if (address.loopback && !isHost) return UNTOUCHED;
    const target = this.#chooser.frontend(r.ip, r.port, r.proto);
    // A UDP connect always succeeds; the refusal comes with a datagram.
    const isUdpConnect = r.hook === 'connect' && r.proto === PROTOCOL.udp;
    const refused = isUdpConnect ? UNTOUCHED : REFUSED;
    if (!target) return address.clusterIp && !address.node ? refused : UNTOUCHED;
    // Only the packet path knows a pod's address, and drops whom it must not let pass.
    if (isHost ? !this.#chooser.isAllowed(target, '', true) : this.#needsClient(target)) return UNTOUCHED;
    return this.#translate(r, target, isUdpConnect, refused);
  }

  /**
   * A socket that also talks straight to the backend of a frontend could not tell the answers apart: from now
   * on what it sends to the frontend is translated where it leaves.
   */
  #straight(r: SocketRequest): void {
    const name = this.#names.get(key(r, r));
    if (!name || this.#chooser.isNode(name.ip)) return;
    this.#leaveToPackets(r, name, name.serviceId);
    this.#names.delete(key(r, r));
  }

  #leaveToPackets(r: SocketRequest, front: At, serviceId: number): void {
    this.#stays.set(key(r, front), { backend: undefined, generation: 0, serviceId });
  }

  /** The same for a second frontend with the same backend. */
  #isAnswerTaken(r: SocketRequest, b: Backend): boolean {
    const name = isDatagram(r) ? this.#names.get(key(r, at(b))) : undefined;
    if (!name || (name.ip === r.ip && name.port === r.port)) return false;
    return !this.#chooser.isNode(r.ip) && !this.#chooser.isNode(b.ip);
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
    const isOwn = r.netns === this.#settings.hostNetns && this.#chooser.isNode(r.ip);
    const packetsInstead = isUdpConnect && !this.#settings.socketUdpConnect && !isOwn;
    const isUsable = (b: Backend) => !packetsInstead || this.#chooser.isNode(b.ip);
    if (stays?.serviceId === service.id) {
      if (!stays.backend && isDatagram(r)) return UNTOUCHED;
      if (stays.backend && isServing(stays) && isUsable(stays.backend))
        return { allowed: true, to: [at(stays.backend)], paths, follow() {} };
    }
    const slots = this.#chooser.slots(target, true);
    // With nobody to move to a datagram goes where the last one went.
    if (typeof slots === 'string' && isDatagram(r) && stays?.serviceId === service.id && stays.to)
      return { allowed: true, to: [stays.to], paths, follow() {} };
    if (slots === 'refuse') return refused;
    if (slots === 'drop') return UNTOUCHED;
    const known = this.#chooser.remembered(target, true, NODE_CLIENT);
    const candidates = known ? [known] : slots;
    const usable = candidates.filter((b) => isUsable(b) && !this.#isAnswerTaken(r, b));
    const unchanged = () => {
      if (isDatagram(r)) this.#leaveToPackets(r, r, service.id);
    };
    const follow = (to: At) => {
      const backend = usable.find((b) => b.ip === to.ip && b.port === to.port);
      if (!backend) return;
      this.#names.set(key(r, at(backend)), { ip: r.ip, port: r.port, serviceId: service.id });
      if (r.proto === PROTOCOL.udp) {
        this.#stays.set(key(r, r), {
          backend,
          to: at(backend),
          generation: backend.generation,
          serviceId: service.id,
        });
      }
      if (!known) this.#chooser.remember(target, NODE_CLIENT, backend);
    };
    if (usable.length === 0) return { ...UNTOUCHED, unchanged };
    if (usable.length < candidates.length)
      return { allowed: true, to: usable.map(at), paths, follow, unchanged, maybe: true };
    return { allowed: true, to: usable.map(at), paths, follow };
  }
}

const at = ({ ip, port }: At): At => ({ ip, port });
const isDatagram = (r: SocketRequest): boolean => r.hook === 'sendmsg' && r.proto === PROTOCOL.udp;
const key = (r: SocketRequest, to: At): string => `${r.cookie} ${r.proto} ${to.ip} ${to.port}`;
const isServing = ({ backend, generation }: Remembered): boolean =>
  backend?.generation === generation &&
  (backend.condition === 'ready' || backend.condition === 'terminating');
