// The files of a page that was built: of the console, which a node and the supervisor of a local cluster serve under
// /ui/, and of the lab.
//
// The folder of the build is listed at the first request. A request names one of the listed files exactly, so no path
// of a request reaches the file system. A file is read and compressed at the first request for it, and kept in memory.

import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'

/** The headers of a request that decide on the answer. */
export interface PageFileRequest {
  readonly ifNoneMatch: string | undefined
  readonly acceptEncoding: string | undefined
}

export interface PageFileAnswer {
  readonly status: 200 | 304
  /** Flat: name, value, name, value, … */
  readonly headers: readonly string[]
  readonly body: Uint8Array
}

/** There is no such file. */
interface PageMissing {
  /** The reason, for people. */
  readonly missing: string
}

/** Content types of the files that are served, by the ends of their names. */
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}

const DOCUMENT = 'index.html'

/** The names of these files contain a hash of their content. */
const ASSETS = 'assets'

interface PageFile {
  readonly plain: Uint8Array
  /** undefined: compression saves nothing. */
  readonly compressed: Uint8Array | undefined
  readonly hash: string
}

/** A page that `scripts/` build. */
export interface BuiltPageKind {
  /** Folder of the build, from the root of a clone; and in dist/ of the package. */
  readonly clone: string
  readonly packaged: string
  /** Reasons for people: there is no such file; there is no build. */
  readonly noSuchFile: string
  readonly notBuilt: string
}

export const CONSOLE: BuiltPageKind = {
  clone: 'web/dist',
  packaged: 'ui',
  noSuchFile: 'the console has no such file; it begins at /ui/',
  notBuilt: 'the console is not built here: run npm run build:web',
}

export const LAB: BuiltPageKind = {
  clone: 'web/dist-lab',
  packaged: 'lab',
  noSuchFile: 'the lab has no such file; it begins at /',
  notBuilt: 'the lab is not built here: run npm run build:lab',
}

export class BuiltPage {
  readonly #kind: BuiltPageKind
  readonly #directory: string
  #names: Promise<ReadonlySet<string>> | undefined
  readonly #files = new Map<string, Promise<PageFile>>()

  /** `directory`: the folder of the build, if it is another one. It need not exist yet. */
  constructor(kind: BuiltPageKind, directory = pageDirectory(kind)) {
    this.#kind = kind
    this.#directory = directory
  }

  /**
   * Finds the answer to a request. `path` follows the path of the page, as the client sent it; the empty path is the
   * document. The document may connect to the origins of `memberUrls`, the base URLs of other nodes.
   */
  async find(
    path: string,
    request: PageFileRequest,
    memberUrls: readonly string[] = [],
  ): Promise<PageFileAnswer | PageMissing> {
    const name = path === '' ? DOCUMENT : path
    // The files that a new document names are those of its build.
    if (name === DOCUMENT && !this.#files.has(name)) this.#names = undefined
    try {
      if (path === DOCUMENT || !(await this.#list()).has(name)) return { missing: this.#kind.noSuchFile }
      const file = await this.#read(name)
      return name === DOCUMENT
        ? answer(name, file, request, policy(memberUrls), 'no-cache')
        : answer(name, file, request, policy([]), 'public, max-age=31536000, immutable')
    } catch (error) {
      if (!isMissing(error)) throw error
      // A new build has other files.
      this.#names = undefined
      this.#files.clear()
      return { missing: this.#kind.notBuilt }
    }
  }

  #list(): Promise<ReadonlySet<string>> {
    this.#names ??= listFiles(this.#directory).catch((error: unknown) => {
      this.#names = undefined
      throw error
    })
    return this.#names
  }

  #read(name: string): Promise<PageFile> {
    const known = this.#files.get(name)
    if (known !== undefined) return known
    const file = readPageFile(join(this.#directory, name)).catch((error: unknown) => {
      this.#files.delete(name)
      throw error
    })
    this.#files.set(name, file)
    return file
  }
}

/** The folder of the build: in a clone, or in the package, where this module is in dist/. */
const pageDirectory = ({ clone, packaged }: BuiltPageKind): string =>
  extname(import.meta.filename) === '.ts'
    ? join(import.meta.dirname, '../..', clone)
    : join(import.meta.dirname, packaged)

async function listFiles(directory: string): Promise<ReadonlySet<string>> {
  const assets = await readdir(join(directory, ASSETS), { withFileTypes: true })
  const served = assets.filter((entry) => entry.isFile() && extname(entry.name) in CONTENT_TYPES)
  return new Set([DOCUMENT, ...served.map(({ name }) => `${ASSETS}/${name}`)])
}

const compress = promisify(gzip)

async function readPageFile(path: string): Promise<PageFile> {
  const plain = await readFile(path)
  const compressed = await compress(plain, { level: 9 })
  const hash = createHash('sha256').update(plain).digest('base64url')
  return { plain, compressed: compressed.length < plain.length * WORTHWHILE ? compressed : undefined, hash }
}

/** A file that hardly becomes smaller is sent as it is. */
const WORTHWHILE = 0.95

const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT'

function answer(
  name: string,
  { plain, compressed, hash }: PageFile,
  { ifNoneMatch, acceptEncoding }: PageFileRequest,
  contentSecurityPolicy: string,
  caching: string,
): PageFileAnswer {
  const body = compressed !== undefined && acceptsGzip(acceptEncoding) ? compressed : plain
  const tag = entityTag(hash, contentSecurityPolicy, body === compressed)
  const headers = [
    ...['Cache-Control', caching, 'ETag', tag, 'Vary', 'Accept-Encoding'],
    ...['Content-Security-Policy', contentSecurityPolicy],
    ...COMMON_HEADERS,
  ]
  if (isNamed(tag, ifNoneMatch)) return { status: 304, headers, body: NO_BYTES }
  headers.push('Content-Type', CONTENT_TYPES[extname(name)] ?? 'application/octet-stream')
  if (body === compressed) headers.push('Content-Encoding', 'gzip')
  return { status: 200, headers, body }
}

const NO_BYTES = new Uint8Array()

const COMMON_HEADERS = [
  ...['X-Content-Type-Options', 'nosniff', 'Referrer-Policy', 'no-referrer'],
  ...['Cross-Origin-Opener-Policy', 'same-origin', 'Cross-Origin-Resource-Policy', 'same-origin'],
] as const

/** It covers the policy too: a browser keeps that of its copy when the answer is 304. */
function entityTag(hash: string, contentSecurityPolicy: string, isCompressed: boolean): string {
  const digest = createHash('sha256').update(hash).update(contentSecurityPolicy).digest('base64url')
  return `"${digest.slice(0, TAG_CHARACTERS)}${isCompressed ? '-gzip' : ''}"`
}

const TAG_CHARACTERS = 22

/** Whether If-None-Match has this entity tag (RFC 9110 §13.1.2). The tags of this page have no comma. */
const isNamed = (tag: string, ifNoneMatch = ''): boolean =>
  ifNoneMatch.split(',').some((part) => {
    const named = part.trim()
    return named === '*' || named.replace(/^W\//, '') === tag
  })

/** Whether Accept-Encoding names gzip, and not with the weight 0 (RFC 9110 §12.5.3). */
const acceptsGzip = (acceptEncoding = ''): boolean =>
  acceptEncoding.split(',').some((part) => {
    const [coding = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase())
    return coding === 'gzip' && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))
  })

// ---------------------------------------------------------------------------------------------------------------------
// Content-Security-Policy

const policy = (memberUrls: readonly string[]): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    ["connect-src 'self'", ...origins(memberUrls)].join(' '),
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')

/**
 * The origins that a policy can name. The host of a URL may contain `;` and `'`, which would begin another directive.
 * A policy has no form for IPv6 addresses.
 */
function origins(memberUrls: readonly string[]): readonly string[] {
  const parsed = memberUrls.map((url) => (/^https?:/i.test(url) ? (URL.parse(url)?.origin ?? '') : ''))
  return [...new Set(parsed.filter((origin) => NAMED_ORIGIN.test(origin)))].sort()
}

const NAMED_ORIGIN = /^https?:\/\/[a-z0-9._-]+(?::[0-9]+)?$/
