// Backups in a bucket of S3, or of a server that speaks its protocol. Credentials, region and address come from the
// variables of the environment that other programs use for it.

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage, RequestOptions } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { http } from '../node-http.ts'
import { writeBackup } from './file.ts'
import { type AccessKey, EMPTY_HASH, signedHeaders, uriEncode } from './signature.ts'
import type { BackupTarget } from './target.ts'

/** The largest object that one request may store. */
const OBJECT_BYTES_MAX = 5 * 2 ** 30
/** A server that sends and takes nothing for so long is given up. */
const SILENCE_MS_MAX = 60_000
/** The reason of a refusal, in XML. */
const ERROR_BYTES_MAX = 64 * 1024

export interface BucketOptions {
  readonly bucket: string
  /** The beginning of all names; '' or with a slash at its end. */
  readonly prefix: string
  readonly region: string
  /** The base URL of the server: buckets are the first segment of paths. undefined: AWS. */
  readonly endpoint: string | undefined
  readonly credentials: AccessKey
}

/** `to`: s3://BUCKET or s3://BUCKET/PREFIX. Throws if a variable is missing. */
export function bucketOf(to: string, env: NodeJS.ProcessEnv): BucketOptions {
  const [, bucket, prefix = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(to) ?? []
  if (bucket === undefined) throw new Error(`${to}: it must be s3://BUCKET/PREFIX`)
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env
  if (!accessKeyId || !secretAccessKey)
    throw new Error(`${to}: the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set`)
  return {
    bucket,
    prefix: prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`,
    region: env.AWS_REGION || env.AWS_DEFAULT_REGION || 'us-east-1',
    endpoint: env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || undefined,
    credentials: { accessKeyId, secretAccessKey, sessionToken: env.AWS_SESSION_TOKEN || undefined },
  }
}

export class BucketTarget implements BackupTarget {
  readonly #options: BucketOptions
  readonly #silenceMsMax: number

  constructor(options: BucketOptions, silenceMsMax = SILENCE_MS_MAX) {
    this.#options = options
    this.#silenceMsMax = silenceMsMax
  }

  async list(): Promise<readonly string[]> {
    const { prefix } = this.#options
    const names: string[] = []
    for (let after: string | undefined, isMore = true; isMore; ) {
      const url = this.#url('')
      url.searchParams.set('list-type', '2')
      url.searchParams.set('prefix', prefix)
      if (after !== undefined) url.searchParams.set('continuation-token', after)
      const xml = await this.#request('GET', url)
      for (const key of textsOf('Key', xml)) names.push(key.slice(prefix.length))
      const [next] = textsOf('NextContinuationToken', xml)
      // The newest names would be missing, and a backup would be made at each check.
      if (next === undefined && textsOf('IsTruncated', xml)[0] === 'true')
        throw new Error(`${url.host} lists only some names, and not where the next ones begin`)
      after = next
      isMore = next !== undefined
    }
    return names
  }

  /** The backup is made in a temporary file first: a request needs the size and the hash of its body. */
  async write(name: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const dir = await mkdtemp(join(tmpdir(), 'quorate-upload-'))
    try {
      const path = join(dir, name)
      const { bytes: size } = await writeBackup(path, chunks, OBJECT_BYTES_MAX)
      const hash = createHash('sha256')
      await pipeline(createReadStream(path), hash)
      await this.#request('PUT', this.#url(name), { path, size, hash: hash.digest('hex') })
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  }

  async delete(name: string): Promise<void> {
    await this.#request('DELETE', this.#url(name))
  }

  #url(name: string): URL {
    const { bucket, prefix, region, endpoint } = this.#options
    const key = name === '' ? '' : `${prefix}${name}`.split('/').map(uriEncode).join('/')
    if (endpoint !== undefined) return new URL(`${endpoint.replace(/\/+$/, '')}/${bucket}/${key}`)
    return new URL(`https://${bucket}.s3.${region}.amazonaws.com/${key}`)
  }

  /** Resolves to the body of the answer. Rejects if that is a refusal. */
  async #request(
    method: string,
    url: URL,
    body?: { readonly path: string; readonly size: number; readonly hash: string },
  ): Promise<string> {
    const { credentials, region } = this.#options
    const headers = {
      ...signedHeaders({ method, url, bodyHash: body?.hash ?? EMPTY_HASH }, credentials, region, Date.now()),
      'content-length': body?.size ?? 0,
    }
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const outgoing = requestFor(url, { method, headers, agent: false, timeout: this.#silenceMsMax })
    outgoing.on('timeout', () => outgoing.destroy(new Error('the server was silent for too long')))
    outgoing.on('error', reject)
    outgoing.on('response', resolve)
    // A server may refuse before it has read the body.
    if (body === undefined) outgoing.end()
    else pipeline(createReadStream(body.path), outgoing).catch(reject)
    const answer = await promise
    let text = ''
    for await (const chunk of answer.setEncoding('utf8')) text += chunk
    const { statusCode = 0 } = answer
    if (statusCode >= 200 && statusCode < 300) return text
    const [code = 'no reason'] = textsOf('Code', text.slice(0, ERROR_BYTES_MAX))
    throw new Error(`${url.host} answered ${statusCode} to ${method} ${url.pathname}: ${code}`)
  }
}

/** TLS is slow to load, and rarely needed. */
const requestFor = (url: URL, options: RequestOptions) =>
  url.protocol === 'https:'
    ? process.getBuiltinModule('node:https').request(url, options)
    : http.request(url, options)

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** The texts of these elements, which have no elements in them. */
const textsOf = (element: string, xml: string): readonly string[] =>
  [...xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, 'g'))].map(([, text = '']) =>
    text
      .replaceAll(/&#(x?)([0-9a-fA-F]+);/g, (_, hex: string, digits: string) =>
        String.fromCodePoint(Number.parseInt(digits, hex === '' ? 10 : 16)),
      )
      .replaceAll(/&(amp|lt|gt|quot|apos);/g, (_, name: string) => ENTITIES[name] ?? ''),
  )
