import type { IncomingMessage } from 'node:http';
import { ApiError } from './api-error.js';
import type { Target } from './resources.js';

export interface FailureAnswer {
  reason?: string;
  message?: string;
  headers?: Record<string, string>;
}

/** Who may do what, and which requests fail on purpose. */
export class Admission {
  readonly #forbidden = new Set<string>();
  readonly #failures: ApiError[] = [];
  readonly #answers = new Map<string, number>();

  constructor(readonly token: string | undefined) {}

  failNext(count: number, code: number, o: FailureAnswer): void {
    for (let i = 0; i < count; i++) {
      this.#failures.push(new ApiError(code, o.reason ?? '', o.message ?? 'failing on purpose', o.headers));
    }
  }

  /** Every read of the resource is answered so from now on; 0: as it should be. */
  answerWith(plural: string, code: number): void {
    if (code === 0) this.#answers.delete(plural);
    else this.#answers.set(plural, code);
  }

  forbid(verb: string, plural: string): void {
    this.#forbidden.add(`${verb} ${plural}`);
  }

  allow(verb: string, plural: string): void {
    this.#forbidden.delete(`${verb} ${plural}`);
  }

  /** Throws the ApiError to answer with, if any. */
  check(request: IncomingMessage, target: Target | undefined, verb: 'list' | 'watch'): void {
    const failure = this.#failures.shift();
    if (failure !== undefined) throw failure;
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`) {
      throw new ApiError(401, 'Unauthorized', 'Unauthorized');
    }
    const plural = target?.resource.plural;
    if (plural === undefined) return;
    const done =
      { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' }[request.method ?? ''] ?? verb;
    const code = done === verb ? this.#answers.get(plural) : undefined;
    if (code !== undefined) throw new ApiError(code, '', 'answered so on purpose');
    if (!this.#forbidden.has(`${done} ${plural}`)) return;
    const cause = `User "test" cannot ${done} resource "${plural}"`;
    throw new ApiError(403, 'Forbidden', `${plural} is forbidden: ${cause}`);
  }
}
