import type { Protocol } from '../model/objects.js';

/** IPPROTO_* -> the name that Kubernetes uses. */
export const PROTOCOLS: Readonly<Record<number, Protocol>> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP' };
