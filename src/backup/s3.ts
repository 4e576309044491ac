// Backups in a bucket of S3, or of a server that speaks its protocol. Credentials, region and address come from the
// variables of the environment that other programs use for it.

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises'
import type { IncomingMessage, RequestOptions } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { http } from '../system/node-http.ts'
import { writeBackup } from './file.ts'
import { parseListPage, parseRefusal } from './s3-list.ts'
import { type AccessKey, EMPTY_HASH, signedHeaders, uriEncode } from './signature.ts'
import { type BackupTarget, parseBackupName, type StoredFile } from './target.ts'

/** The largest object that one request may store. */
const OBJECT_BYTES_MAX = 5 * 2 ** 30
/** A server that sends and takes nothing for so long is given up, and so is an answer that takes longer. */
const SILENCE_MS_MAX = 60_000
/** A page of a list has at most 1,000 names of 1 KiB, and each byte of a name may be an entity. */
const ANSWER_BYTES_MAX = 16 * 2 ** 20
/** More pages of 1,000 files than a schedule makes backups. */
const PAGES_MAX = 100
/** A temporary directory that is older was left by a node that was killed: no upload takes so long. */
const UPLOAD_MS_MAX = 24 * 60 * 60_000
const UPLOAD_PREFIX = 'quorate-upload-'
/** The six characters at the end are those of `mkdtemp`. */
const UPLOAD = /^quorate-upload-(.*)-[A-Za-z0-9]{6}$/

interface BucketOptions {
  readonly bucket: string
  /** The beginning of all names; '' or with a slash at its end. */
  readonly prefix: string
  readonly region: string
  /** The base URL of the server: buckets are the first segment of paths. undefined: AWS. */
  readonly endpoint: string | undefined
  readonly credentials: AccessKey
}

/** `to`: s3://BUCKET or s3://BUCKET/PREFIX. Throws if a variable is missing. */
export function parseBucketOptions(to: string, env: NodeJS.ProcessEnv): BucketOptions {
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

  get directory(): string {
    return tmpdir()
  }

  async list(beginning: string, signal: AbortSignal): Promise<readonly StoredFile[]> {
    const { bucket, prefix } = this.#options
    const files: StoredFile[] = []
    let after: string | undefined
    for (let pages = 0; pages < PAGES_MAX; pages++) {
      const url = this.#url('')
      url.searchParams.set('list-type', '2')
      url.searchParams.set('prefix', `${prefix}${beginning}`)
      if (after !== undefined) url.searchParams.set('continuation-token', after)
      const xml = await this.#request('GET', url, signal)
      const page = parsePage(url, () => parseListPage(xml, { bucket, prefix: `${prefix}${beginning}` }))
      for (const { name, bytes } of page.files) files.push({ name: name.slice(prefix.length), bytes })
      if (page.next === undefined) return files
      after = page.next
    }
    throw new Error(`${this.#url('').host} lists more than ${PAGES_MAX} pages of backups`)
  }

  /** The backup is made in a temporary file first: a request needs the size and the hash of its body. */
  async write(name: string, chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    await this.#deleteLeftUploads(name)
    const dir = await mkdtemp(join(this.directory, `${UPLOAD_PREFIX}${name}-`))
    try {
      const path = join(dir, name)
      const { bytes: size } = await writeBackup(path, chunks, OBJECT_BYTES_MAX)
      const hash = createHash('sha256')
      await pipeline(createReadStream(path), hash)
      await this.#request('PUT', this.#url(name), signal, { path, size, hash: hash.digest('hex') })
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  }

  /** Deletes the directories of killed nodes of the same cluster. One that cannot be deleted is no reason to fail. */
  async #deleteLeftUploads(name: string): Promise<void> {
    const clusterId = parseBackupName(name)?.clusterId
    if (clusterId === undefined) return
    const entries = await readdir(this.directory).catch(() => [])
    for (const entry of entries) {
      const upload = parseBackupName(UPLOAD.exec(entry)?.[1] ?? '')
      if (upload?.clusterId !== clusterId || Date.now() - upload.timeMs < UPLOAD_MS_MAX) continue
      const path = join(this.directory, entry)
      if (await isOwnDirectory(path)) await rm(path, { recursive: true, force: true }).catch(() => {})
    }
  }

  async delete(name: string, signal: AbortSignal): Promise<void> {
    await this.#request('DELETE', this.#url(name), signal)
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
    signal: AbortSignal,
    body?: { readonly path: string; readonly size: number; readonly hash: string },
  ): Promise<string> {
    const { credentials, region } = this.#options
    const headers = {
      ...signedHeaders({ method, url, bodyHash: body?.hash ?? EMPTY_HASH }, credentials, region, Date.now()),
      'content-length': body?.size ?? 0,
    }
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const outgoing = requestFor(url, { method, headers, agent: false, timeout: this.#silenceMsMax, signal })
    outgoing.on('timeout', () => outgoing.destroy(new Error('the server was silent for too long')))
    outgoing.on('error', reject)
    outgoing.on('response', resolve)
    // A server may refuse before it has read the body.
    if (body === undefined) outgoing.end()
    else pipeline(createReadStream(body.path), outgoing).catch(reject)
    const answer = await promise
    const text = await this.#readText(answer)
    const { statusCode = 0 } = answer
    if (statusCode >= 200 && statusCode < 300) return text
    const elsewhere = answer.headers['x-amz-bucket-region']
    const hint =
      elsewhere === undefined || elsewhere === region
        ? ''
        : `; the bucket is in ${elsewhere}: set AWS_REGION to that`
    throw new Error(
      `${url.host} answered ${statusCode} to ${method} ${url.pathname}: ${parseRefusal(text)}${hint}`,
    )
  }

  async #readText(answer: IncomingMessage): Promise<string> {
    const timer = setTimeout(
      () => answer.destroy(new Error('the answer took too long')),
      this.#silenceMsMax,
    ).unref()
    try {
      const chunks: Buffer[] = []
      let bytes = 0
      for await (const chunk of answer) {
        chunks.push(chunk)
        bytes += chunk.length
        if (bytes > ANSWER_BYTES_MAX) throw new Error(`the answer has more than ${ANSWER_BYTES_MAX} bytes`)
      }
      return Buffer.concat(chunks).toString()
    } finally {
      clearTimeout(timer)
    }
  }
}

/**
 * Whether a path names a directory of this user. Everybody may write to the temporary directory, and could replace
 * parts of a directory of their own by links while it is deleted.
 */
async function isOwnDirectory(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined)
  return found?.isDirectory() === true && found.uid === (process.getuid?.() ?? found.uid)
}

/** Says whose answer is wrong. */
function parsePage<T>({ host, pathname }: URL, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`${host} answered 200 to GET ${pathname}, but ${reason}`)
  }
}

/** TLS is slow to load, and rarely needed. */
const requestFor = (url: URL, options: RequestOptions) =>
  url.protocol === 'https:'
    ? process.getBuiltinModule('node:https').request(url, options)
    : http.request(url, options)
