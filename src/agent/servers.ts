import { codeOf } from './errors.js';
import { bindAddressText, parseBindAddress } from './health/bind-address.js';
import { type Answer, Listener, type Respond } from './health/listener.js';
import type { Logger } from './log.js';
import { type AgentOptions, KUBE_PROXY_PORTS } from './options.js';

export interface ServersOptions {
  options: Pick<AgentOptions, 'healthzBindAddress' | 'metricsBindAddress' | 'bindAddressHardFail'>;
  healthz: Respond;
  metrics: Respond;
  /** Called while the metrics can be asked for. */
  everySecond: () => void;
  log: Logger;
}

/** The two HTTP servers of the agent itself; those of Services are in health/health-checks.ts. */
export class Servers {
  readonly #listeners: Listener[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** @throws Error for an address that cannot be had, with --bind-address-hard-fail only. */
  async open({ options, healthz, metrics, everySecond, log }: ServersOptions): Promise<void> {
    if (options.metricsBindAddress !== '') this.#timer = setInterval(everySecond, 1000);
    const wanted = [
      ['--healthz-bind-address', options.healthzBindAddress, KUBE_PROXY_PORTS.healthz, healthz],
      ['--metrics-bind-address', options.metricsBindAddress, KUBE_PROXY_PORTS.metrics, metrics],
    ] as const;
    for (const [flag, text, defaultPort, respond] of wanted) {
      const address = parseBindAddress(text, defaultPort);
      if (!address) continue;
      const place = bindAddressText(address);
      let said: string | undefined;
      const listener = new Listener({
        ...address,
        respond: introduced(respond),
        onFailure: (error) => {
          const message = failureText(place, flag, error);
          // Once per trouble, not once per try.
          if (message !== said && !options.bindAddressHardFail) log.warn(`${message}; trying again`);
          said = message;
        },
      });
      this.#listeners.push(listener);
      const error = await listener.start();
      if (error && options.bindAddressHardFail) throw new Error(failureText(place, flag, error));
      if (!error) log.info({ address: place }, `${flag.slice(2, -'-bind-address'.length)} answers`);
    }
  }

  close(): void {
    clearInterval(this.#timer);
    for (const listener of this.#listeners) listener.close();
  }
}

/** Every other answer is kube-proxy's to the byte: `shunt takeover` asks here which of the two it is. */
export const IDENTITY_PATH = '/shunt';

const INTRODUCTION: Answer = {
  status: 200,
  headers: { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' },
  body: 'shunt\n',
};

function introduced(respond: Respond): Respond {
  return (path, request) => (path === IDENTITY_PATH ? INTRODUCTION : respond(path, request));
}

const CAUSES: Record<string, string> = {
  EADDRINUSE: 'another socket has the port',
  EADDRNOTAVAIL: 'this node has no such address',
  EACCES: 'not permitted',
};

function failureText(place: string, flag: string, error: NodeJS.ErrnoException): string {
  const code = codeOf(error) ?? 'EIO';
  const cause = CAUSES[code] ?? error.message;
  const hint =
    code === 'EADDRINUSE'
      ? `is kube-proxy running here? end it, or choose another address with ${flag}`
      : `choose another address with ${flag}`;
  return `listen on ${place}: ${cause} (${code}). ${hint}`;
}
