import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

export interface Certificate {
  certPem: string;
  keyPem: string;
}

/**
 * A self-signed server certificate for the names and addresses given, valid from an hour ago (or, when `expired`,
 * until an hour ago). Written in DER by hand (RFC 5280), because Node can read but not make certificates and the
 * tests must not need an openssl program.
 */
export function makeCertificate(names: readonly string[], o: { expired?: boolean } = {}): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = sequence(tlv(0x31, sequence(oid('550403'), tlv(0x0c, Buffer.from('shunt test API server')))));
  const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'));
  const hourMs = 3_600_000;
  const until = Date.now() + (o.expired === true ? -hourMs : 10 * 24 * hourMs);
  const body = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))), // version 3
    tlv(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])), // serial number, positive
    ecdsaWithSha256,
    name, // issuer
    sequence(utcTime(until - 11 * 24 * hourMs), utcTime(until)),
    name, // subject
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(
      0xa3,
      sequence(
        extension('551d13', sequence(tlv(0x01, Buffer.from([0xff])))), // basicConstraints: CA
        extension('551d11', sequence(...names.map(alternativeName))), // subjectAltName
      ),
    ),
  );
  const signature = sign('sha256', body, privateKey);
  const certificate = sequence(
    body,
    ecdsaWithSha256,
    tlv(0x03, Buffer.concat([Buffer.from([0]), signature])),
  );
  const base64 = certificate.toString('base64').replace(/.{64}/g, '$&\n');
  return {
    certPem: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function alternativeName(name: string): Buffer {
  if (isIP(name) !== 0) return tlv(0x87, Buffer.from(ipaddr.parse(name).toByteArray()));
  return tlv(0x82, Buffer.from(name));
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(oid(id), tlv(0x04, value));
}

function oid(hex: string): Buffer {
  return tlv(0x06, Buffer.from(hex, 'hex'));
}

function utcTime(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(2, 14);
  return tlv(0x17, Buffer.from(`${text}Z`));
}

function sequence(...parts: Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function tlv(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const header =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(header), content]);
}
