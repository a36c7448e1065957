// Everything that can go wrong between the agent and an API server, as sentences an operator can act on:
// `<verb> <object>: <cause> (<code>). <next step>`.

/** The server answered, with a status other than 200. */
export class HttpStatusError extends Error {
  constructor(
    readonly status: number,
    /** `message` of the Kubernetes Status object, or the start of the body. */
    readonly detail: string,
    /** `reason` of the Status object: Expired, Forbidden, ... */
    readonly reason: string = '',
    readonly retryAfterMs?: number,
  ) {
    super(`${status} ${detail}`);
    this.name = 'HttpStatusError';
  }

  /**
   * The resourceVersion or continue token means nothing to the server: list again. It is too old, or, after the
   * server's database was restored from a backup, from a future that no longer comes.
   */
  get isGone(): boolean {
    if (this.status === 410 || this.reason === 'Expired' || this.reason === 'Gone') return true;
    return /too large resource version/i.test(this.detail);
  }
}

/** Nothing was heard from the server for too long. */
export class SilentConnectionError extends Error {
  readonly code = 'ETIMEDOUT';
  constructor(readonly idleMs: number) {
    super(`nothing received for ${idleMs} ms`);
    this.name = 'SilentConnectionError';
  }
}

/** A stream that is not what the protocol says. */
export class ProtocolError extends Error {
  readonly code = 'EPROTO';
}

/** Which request failed; names the RBAC rule when it is refused. */
export interface RequestSubject {
  server: string;
  verb: 'list' | 'watch';
  /** Plural: services, endpointslices, nodes. */
  resource: string;
  /** '' is the core group. */
  apiGroup: string;
}

export interface DescribedError {
  /** Failures with one cause share a key, whichever resource met it first. */
  key: string;
  object: string;
  message: string;
}

const NETWORK_HINTS: Record<string, string> = {
  ECONNREFUSED: 'Check that the API server runs and that the address in the kubeconfig is right',
  ENOTFOUND: 'Check the host name in the kubeconfig and the DNS of this node',
  EAI_AGAIN: 'Check the DNS of this node',
  EHOSTUNREACH: 'Check the routes of this node',
  ENETUNREACH: 'Check the routes of this node',
  ETIMEDOUT: 'Check the network between this node and the API server',
  ECONNRESET: 'Check the API server and proxies before it',
  ENOENT: 'Check the file named in the kubeconfig',
  EACCES: 'Make the file named in the kubeconfig readable for the agent',
};

export function describeError(error: unknown, subject: RequestSubject): DescribedError {
  const server = `API server ${subject.server}`;
  const request = `${subject.verb} ${subject.resource}`;
  if (error instanceof HttpStatusError) return describeStatus(error, subject, server, request);
  const code = codeOf(error);
  const text = textOf(error);
  if (error instanceof SilentConnectionError || error instanceof ProtocolError) {
    return { key: `${request} ${code}`, object: server, message: `${request}: ${text} (${code}). Retrying` };
  }
  if (isTlsCode(code)) {
    const next = /wrong.version.number/i.test(text)
      ? 'The server does not speak TLS on this port; correct the address in the kubeconfig'
      : 'Put the certificate of its authority into certificate-authority-data of the kubeconfig, and connect by a ' +
        'name the server certificate has (or set tls-server-name)';
    return {
      key: `tls ${code}`,
      object: server,
      message: `verify ${server}: ${text} (${code}). ${next}; retrying`,
    };
  }
  const hint = NETWORK_HINTS[code] ?? 'Check the kubeconfig and the network of this node';
  return {
    key: `connect ${code}`,
    object: server,
    message: `connect to ${server}: ${text} (${code}). ${hint}; retrying`,
  };
}

/** One line about a resource that is not needed: what is missing and what to do if it is wanted. */
export function describeUnavailable(error: HttpStatusError, subject: RequestSubject): string {
  const { verb, resource, apiGroup } = subject;
  const without = 'only the ranges of --service-cidrs are known';
  if (error.status === 404) return `${verb} ${resource}: the API server has none (404). ${without}`;
  return `${verb} ${resource}: ${error.detail} (403). ${without}; to learn them give the agent's user a ClusterRole with the rule ${ruleOf(apiGroup, resource)}`;
}

function ruleOf(apiGroup: string, resource: string): string {
  return `{apiGroups: ["${apiGroup}"], resources: ["${resource}"], verbs: ["list", "watch"]}`;
}

function describeStatus(
  error: HttpStatusError,
  subject: RequestSubject,
  server: string,
  request: string,
): DescribedError {
  const status = error.status;
  if (status === 401) {
    return {
      key: 'status 401',
      object: server,
      message:
        `authenticate to ${server}: ${error.detail} (401). Renew the token or client certificate of the kubeconfig's ` +
        'user, or the service account of the agent; retrying',
    };
  }
  if (status === 403) {
    const rule = ruleOf(subject.apiGroup, subject.resource);
    return {
      key: `status 403 ${request}`,
      object: server,
      message: `${request} in all namespaces: ${error.detail} (403). Give the agent's user a ClusterRole with the rule ${rule}; retrying`,
    };
  }
  if (status === 404) {
    return {
      key: `status 404 ${request}`,
      object: server,
      message:
        `${request}: ${error.detail} (404). Check the server address in the kubeconfig; ` +
        'discovery.k8s.io/v1 needs Kubernetes 1.21 or newer; retrying',
    };
  }
  return {
    key: `status ${status} ${request}`,
    object: server,
    message: `${request}: ${error.detail} (${status}). Look at the API server's log; retrying`,
  };
}

/** System or OpenSSL code of an error, found through its causes; 'unknown' when there is none. */
export function codeOf(error: unknown): string {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code;
    // A connect to several addresses of one name fails as a whole.
    if (at instanceof AggregateError && at.errors.length > 0) return codeOf(at.errors[0]);
  }
  return 'unknown';
}

/** A failed connect to several addresses of one name has no text of its own. */
function textOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '' && error.errors.length > 0) {
    return textOf(error.errors[0]);
  }
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().replaceAll(/\s+/g, ' ');
}

function isTlsCode(code: string): boolean {
  return (
    /^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/.test(code) ||
    code === 'HOSTNAME_MISMATCH' ||
    code === 'INVALID_CA' ||
    code === 'EPROTO'
  );
}
