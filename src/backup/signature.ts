// Signature version 4 of AWS, for requests to S3 with the hash of their body in a header.

import { createHash, createHmac } from 'node:crypto'

export interface AccessKey {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

interface RequestToSign {
  readonly method: string
  readonly url: URL
  /** Besides those that the signature adds. All of them are signed. */
  readonly headers?: Readonly<Record<string, string>>
  /** SHA-256 of the body, in hexadecimal. */
  readonly bodyHash: string
}

const ALGORITHM = 'AWS4-HMAC-SHA256'

/** The headers of the signed request, without `host`, which the request has by itself. */
export function signedHeaders(
  { method, url, headers = {}, bodyHash }: RequestToSign,
  { accessKeyId, secretAccessKey, sessionToken }: AccessKey,
  region: string,
  timeMs: number,
): Readonly<Record<string, string>> {
  const time = new Date(timeMs).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const all: Record<string, string> = {
    'x-amz-content-sha256': bodyHash,
    'x-amz-date': time,
    ...(sessionToken === undefined ? {} : { 'x-amz-security-token': sessionToken }),
  }
  for (const [name, value] of Object.entries(headers)) all[name.toLowerCase()] = value
  const signed = Object.entries({ ...all, host: url.host }).sort(([a], [b]) => (a < b ? -1 : 1))
  const names = signed.map(([name]) => name).join(';')
  const canonical = [
    method,
    canonicalPath(url),
    canonicalQuery(url),
    ...signed.map(([name, value]) => `${name}:${value.trim()}`),
    '',
    names,
    bodyHash,
  ].join('\n')
  const scope = `${time.slice(0, 8)}/${region}/s3/aws4_request`
  const text = [ALGORITHM, time, scope, sha256(canonical)].join('\n')
  const key = [time.slice(0, 8), region, 's3', 'aws4_request'].reduce<string | Buffer>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${secretAccessKey}`,
  )
  const signature = createHmac('sha256', key).update(text).digest('hex')
  const authorization = `${ALGORITHM} Credential=${accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`
  return { ...all, authorization }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

export const EMPTY_HASH = sha256('')

/** Encodes every byte but letters, digits and `-._~`. */
export const uriEncode = (text: string): string =>
  encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )

const canonicalPath = ({ pathname }: URL): string =>
  pathname
    .split('/')
    .map((segment) => uriEncode(decodeURIComponent(segment)))
    .join('/')

const canonicalQuery = ({ searchParams }: URL): string =>
  [...searchParams]
    .map(([name, value]) => `${uriEncode(name)}=${uriEncode(value)}`)
    .sort()
    .join('&')
