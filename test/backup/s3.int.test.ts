// Backups in a bucket: the published examples of the signature, and a strict server that computes each signature too.

import { createHash, createHmac } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { verifyBackup } from '../../src/backup/file.ts'
import { BackupWriter } from '../../src/backup/format.ts'
import { BucketTarget, parseBucketOptions } from '../../src/backup/s3.ts'
import { EMPTY_HASH, signedHeaders } from '../../src/backup/signature.ts'
import { backupName } from '../../src/backup/target.ts'
import { encodeState } from '../../src/kv/index.ts'
import { BackupSchedule } from '../../src/server/start/backup-schedule.ts'
import { FakeNode } from '../server/http/fake-node.ts'
import { backupOf, nodeWithEverything } from './samples.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
test('signatures are those of the published examples', () => {
  const credentials = {
    accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  }
  const signatureOf = (method: string, path: string, headers = {}, bodyHash = EMPTY_HASH): string => {
    const url = new URL(`https://examplebucket.s3.amazonaws.com${path}`)
    const made = signedHeaders(
      { method, url, headers, bodyHash },
      credentials,
      'us-east-1',
      Date.UTC(2013, 4, 24),
    )
    return made.authorization?.split('Signature=')[1] ?? ''
  }
  expect([
    signatureOf('GET', '/test.txt', { Range: 'bytes=0-9' }),
    signatureOf(
      'PUT',
      '/test%24file.text',
      { Date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
      '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
    ),
    signatureOf('GET', '/?lifecycle='),
    signatureOf('GET', '/?max-keys=2&prefix=J'),
  ]).toEqual([
    'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
    'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
    '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  ])
})

const SECRET = 'secret+/key'

/** Why the server refuses a request; undefined: its signature holds. Written from the specification. */
function faultOf(request: IncomingMessage, body: Buffer): string | undefined {
  const { headers, method, url = '' } = request
  const [, key, day, region, names = '', signature] =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    ) ?? []
  if (key !== 'key id') return 'InvalidAccessKeyId'
  const date = String(headers['x-amz-date'])
  if (!date.startsWith(`${day}T`) || region !== 'eu-test-1') return 'AuthorizationHeaderMalformed'
  const sha = (bytes: string | Buffer) => createHash('sha256').update(bytes).digest('hex')
  if (headers['x-amz-content-sha256'] !== sha(body)) return 'XAmzContentSHA256Mismatch'
  if (headers['content-length'] !== String(body.length)) return 'MissingContentLength'
  for (const needed of ['host', 'x-amz-date', 'x-amz-content-sha256', 'x-amz-security-token'])
    if (!names.split(';').includes(needed)) return `AccessDenied: ${needed} is not signed`
  const [path = '', query = ''] = url.split('?')
  const canonical = `${method}\n${path}\n${query.replaceAll('+', '%20').split('&').sort().join('&')}\n${names
    .split(';')
    .map((name) => `${name}:${headers[name]}\n`)
    .join('')}\n${names}\n${sha(body)}`
  const text = `AWS4-HMAC-SHA256\n${date}\n${day}/${region}/s3/aws4_request\n${sha(canonical)}`
  const hmac = (secret: string | Buffer, part: string) => createHmac('sha256', secret).update(part).digest()
  const secret = hmac(hmac(hmac(hmac(`AWS4${SECRET}`, String(day)), String(region)), 's3'), 'aws4_request')
  return hmac(secret, text).toString('hex') === signature ? undefined : 'SignatureDoesNotMatch'
}

/** A bucket in memory, which lists two objects at a time. */
async function bucket() {
  const objects = new Map<string, Buffer>()
  const env = await served(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    const end = (status: number, text = '') => response.writeHead(status).end(text)
    const fault = faultOf(request, body)
    if (fault !== undefined) return end(403, `<Error><Code>${fault}</Code></Error>`)
    const url = new URL(`http://host${request.url}`)
    const key = decodeURIComponent(url.pathname).replace('/backups/', '')
    if (request.method === 'PUT') {
      objects.set(key, body)
      return end(200)
    }
    if (request.method === 'DELETE') return end(objects.delete(key) ? 204 : 404)
    const { 'continuation-token': after = '', prefix = '' } = Object.fromEntries(url.searchParams)
    const left = [...objects.keys()].sort().filter((name) => name.startsWith(prefix) && name > after)
    const page = left.slice(0, 2)
    const next =
      left.length > 2 ? `<NextContinuationToken>${escaped(page[1] ?? '')}</NextContinuationToken>` : ''
    const contents = page.map((name) => {
      const size = objects.get(name)?.length
      return `<Contents>\n  <Key>${escaped(name)}</Key><Size>${size}</Size><ETag>&quot;1&quot;</ETag></Contents>`
    })
    return end(200, listXml({ prefix, contents, next, isTruncated: left.length > 2 }))
  })
  return { objects, env }
}

/** A page as AWS sends it. */
function listXml({
  name = 'backups',
  prefix = '',
  contents = [] as readonly string[],
  next = '',
  isTruncated = false,
}) {
  return `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>${name}</Name><Prefix>${escaped(prefix)}</Prefix>${next}<KeyCount>${contents.length}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>${isTruncated}</IsTruncated>${contents.join('')}<StartAfter/></ListBucketResult>`
}

const never = new AbortController().signal
const silent = { debug() {}, info() {}, warn() {}, error() {} }
const unlimited = () => Number.POSITIVE_INFINITY

function leader(): FakeNode {
  const node = new FakeNode()
  node.role = 'leader'
  return node
}

/** Returns the environment for the server. */
async function served(answer: RequestListener) {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  onTestFinished(() => server.closeAllConnections())
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  return {
    AWS_ACCESS_KEY_ID: 'key id',
    AWS_SECRET_ACCESS_KEY: SECRET,
    AWS_SESSION_TOKEN: 'session',
    AWS_REGION: 'eu-test-1',
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}/`,
  }
}

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll("'", '&#39;')

test('the leader stores backups in a bucket, and deletes the oldest', async () => {
  const { objects, env } = await bucket()
  const to = "s3://backups/it's a & b/quorate"
  const target = new BucketTarget(parseBucketOptions(to, env))
  const node = leader()
  for (let at = 0; at < 500; at++) node.put(`key ${at}`, 'x'.repeat(1000))
  objects.set("it's a & b/quorate/letter.txt", Buffer.from('x'))
  objects.set('another prefix', Buffer.from('x'))
  const logger = {
    debug() {},
    info() {},
    warn() {},
    error: (_: object, text: string) => expect(text).toBe(''),
  }
  const schedule = new BackupSchedule({ node, target, everyMs: 1, keep: 5, room: unlimited, logger })
  const made = new Set<string>()
  while (made.size < 7) {
    node.put('made', String(made.size))
    await schedule.check()
    for (const name of objects.keys()) if (name.endsWith('.backup')) made.add(name)
  }
  const names = [...objects.keys()].filter((name) => name.endsWith('.backup')).sort()
  // The list has had three pages.
  expect(names).toHaveLength(5)
  const newest = objects.get(names.at(-1) ?? '') ?? Buffer.of()
  expect((await verifyBackup(oneChunk(newest))).state).toMatchObject({ keys: 501 })
  expect(objects.size).toBe(7)
})

test('a refusal names what the server says, and no secret', async () => {
  const { env } = await bucket()
  const wrong = new BucketTarget(
    parseBucketOptions('s3://backups/x', { ...env, AWS_SECRET_ACCESS_KEY: 'wrong secret' }),
  )
  const error: unknown = await wrong.list('', never).catch((reason: unknown) => reason)
  expect(String(error)).toMatch(/answered 403 to GET \/backups\/: SignatureDoesNotMatch/)
  expect(String(error)).not.toMatch(/wrong secret|key id/)
  expect(() => parseBucketOptions('s3://backups', {})).toThrow('AWS_ACCESS_KEY_ID')
  expect(() => parseBucketOptions('s3://Wrong_Name/x', env)).toThrow('it must be s3://BUCKET/PREFIX')
})

const contents = (key: string, size: number | string = 3) => [
  `<Contents><Key>${key}</Key><Size>${size}</Size></Contents>`,
]

/** Answers with status 200 that are not the list of the bucket, and the reason that is reported. */
const noLists: readonly (readonly [string, string])[] = [
  ['', 'it is not the list'],
  ['<html><body><h1>Please log in</h1></body></html>', 'it is not the list'],
  ['<!DOCTYPE html><html><head><meta charset="utf-8"></head></html>', 'it is not the list'],
  ['{"Contents":[]}', 'it is not the list'],
  [JSON.stringify(listXml({})), 'it is not the list'],
  [listXml({ contents: contents('a') }).slice(0, -20), 'it is not the list'],
  [listXml({}).replace('<Name>', '<Name><b>'), 'it is not the list'],
  [`${listXml({})}<!-- made by a proxy -->`, 'it is not the list'],
  [`${listXml({})}${listXml({})}`, 'it is not the list'],
  [listXml({ contents: contents('&nosuch;') }), 'it is not the list'],
  [listXml({ contents: contents('&#x110000;') }), 'it is not the list'],
  ['<ListBucketResult/>', 'it is the list of no bucket'],
  [listXml({ name: 'other' }), 'it is the list of other'],
  [listXml({ prefix: 'b' }), 'it is the list of names with "b"'],
  [listXml({}).replace('<IsTruncated>false</IsTruncated>', ''), 'it does not say whether it is all'],
  [listXml({}).replace('false', 'False'), 'it does not say whether it is all'],
  [listXml({ isTruncated: true }), 'it lists only some names'],
  [listXml({ isTruncated: true, next: '<NextContinuationToken/>' }), 'it lists only some names'],
  [listXml({}).replace('KeyCount>0', 'KeyCount>1'), 'it has 0 files, and says 1'],
  [listXml({ contents: contents('a', '') }), 'it has a file without a name, or without a size'],
  [listXml({ contents: ['<Contents><Size>3</Size></Contents>'] }), 'it has a file without a name'],
  [listXml({}).replace('<Name>', '<Name>other</Name><Name>'), 'it has Name more than once'],
]

test('an answer with status 200 that is no list is a failure with a reason, and never an empty bucket', async () => {
  let answer = ''
  const stored: string[] = []
  const env = await served((request, response) => {
    if (request.method === 'PUT') stored.push(String(request.url))
    response.end(answer)
  })
  const target = new BucketTarget(parseBucketOptions('s3://backups', env))
  for (const [text, reason] of noLists) {
    answer = text
    await expect(target.list('', never), text).rejects.toThrow(`answered 200 to GET /backups/, but ${reason}`)
    const schedule = new BackupSchedule({
      ...{ node: leader(), target, everyMs: 1, keep: 3, room: unlimited, logger: silent },
    })
    await schedule.check()
    expect(schedule.counts.failuresTotal, text).toBe(1)
    expect(schedule.counts.failure).toContain('answered 200')
  }
  expect(stored).toEqual([])
  answer = listXml({ contents: contents('a&amp;b&#x41;&#65;', 7) }).replace('<?xml', '\uFEFF<?xml')
  expect(await target.list('', never)).toEqual([{ name: 'a&bAA', bytes: 7 }])
})

test('a list without an end, or too long, is a failure', async () => {
  let pages = 0
  const next = '<NextContinuationToken>again</NextContinuationToken>'
  const endless = await served((_, response) => {
    pages++
    response.end(listXml({ isTruncated: true, next, contents: contents('a') }))
  })
  await expect(new BucketTarget(parseBucketOptions('s3://backups', endless)).list('', never)).rejects.toThrow(
    'lists more than 100 pages',
  )
  expect(pages).toBe(100)
  const long = await served((_, response) => {
    response.on('error', () => {})
    response.end(Buffer.alloc(17 * 2 ** 20, ' '))
  })
  await expect(new BucketTarget(parseBucketOptions('s3://backups', long)).list('', never)).rejects.toThrow(
    'the answer has more than 16777216 bytes',
  )
  // A byte now and then is no silence.
  const slow = await served((_, response) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write(' '), 10)
    response.on('close', () => clearInterval(timer))
  })
  // On a busy machine it may be one.
  await expect(
    new BucketTarget(parseBucketOptions('s3://backups', slow), 300).list('', never),
  ).rejects.toThrow(/the answer took too long|silent for too long/)
})

test('a server that stores nothing, and says that it does, costs no old backup', async () => {
  const { objects, env } = await bucket()
  const target = new BucketTarget(parseBucketOptions('s3://backups', env))
  const old = Array.from({ length: 3 }, (_, at) => backupName('4242', Date.now() - (9 - at) * 3_600_000, at))
  for (const name of old) objects.set(name, Buffer.from('x'))
  const schedule = new BackupSchedule({
    ...{ node: leader(), everyMs: 1, keep: 1, room: unlimited, logger: silent },
    target: {
      directory: target.directory,
      list: (prefix, signal) => target.list(prefix, signal),
      write: async (name, chunks, signal) => {
        await target.write(name, chunks, signal)
        objects.delete(name)
      },
      delete: (name, signal) => target.delete(name, signal),
    },
  })
  await schedule.check()
  expect(schedule.counts.failure).toMatch(/was stored, and the list of backups lacks it/)
  expect([...objects.keys()]).toEqual(old)
})

const NO_BUCKET = '<Error><Code>NoSuchBucket</Code></Error>'
const uploads = () => readdirSync(tmpdir()).filter((name) => name.startsWith('quorate-upload-'))

test('answers that fail, are cut, or never come are failures with a reason, and no temporary file stays', async () => {
  const file = await backupOf(await nodeWithEverything(50))
  const answers: readonly (readonly [RegExp, RequestListener])[] = [
    [
      /answered 503 to PUT .*: SlowDown/,
      (_, response) => response.writeHead(503).end('<Error><Code>SlowDown</Code></Error>'),
    ],
    [/answered 500 to PUT .*: no reason/, (_, response) => response.writeHead(500).end()],
    [
      /answered 301 .*PermanentRedirect; the bucket is in eu-west-9: set AWS_REGION to that/,
      (_, response) =>
        response
          .writeHead(301, { 'x-amz-bucket-region': 'eu-west-9' })
          .end('<Error><Code>PermanentRedirect</Code></Error>'),
    ],
    [
      /answered 403 .*: RequestTimeTooSkewed: The difference .* is too large\.$/,
      (_, response) =>
        response
          .writeHead(403)
          .end(
            '<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>',
          ),
    ],
    [/answered 404 .*: NoSuchBucket$/, (_, response) => response.writeHead(404).end(NO_BUCKET)],
    [/answered 502 .*: no reason$/, (_, response) => response.writeHead(502).end('<html><br></html>')],
    // Some of the request, and the end of the connection.
    [
      /socket hang up|ECONNRESET|EPIPE/,
      (request) => request.once('data', () => request.socket.destroy()).resume(),
    ],
    // Some of the body, and the end of the connection.
    [
      /aborted/,
      (_, response) => response.writeHead(200, { 'Content-Length': 9 }).write('x', () => response.destroy()),
    ],
    [/socket hang up|ECONNRESET|EPIPE/, (request) => request.socket.destroy()],
    [/silent for too long/, () => {}],
  ]
  const before = uploads()
  for (const [reason, answer] of answers) {
    const target = new BucketTarget(parseBucketOptions('s3://backups/x', await served(answer)), 200)
    await expect(target.write('a.backup', oneChunk(file), never)).rejects.toThrow(reason)
    await expect(target.list('', never)).rejects.toThrow()
  }
  expect(uploads()).toEqual(before)
})

test('a backup deletes what uploads of killed nodes of its cluster have left for a day, and nothing else', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-left-uploads-'))
  vi.stubEnv('TMPDIR', dir)
  onTestFinished(() => {
    vi.unstubAllEnvs()
    rmSync(dir, { recursive: true })
  })
  const hour = 3_600_000
  const upload = (cluster: string, hoursAgo: number) =>
    `quorate-upload-${backupName(cluster, Date.now() - hoursAgo * hour, 5)}-aB3xYz`
  const left = upload('4242', 25)
  const kept = [
    ...[upload('4242', 23), upload('4243', 25), `${upload('4242', 25)}9`, 'quorate-upload-aB3xYz'],
    upload('4242', 25).replace(/T\d+Z/, 'T999999999Z'),
  ]
  for (const name of [left, ...kept]) {
    mkdirSync(join(dir, name))
    writeFileSync(join(dir, name, 'part'), 'x')
  }
  // Somebody else could have put them there.
  const [link, file] = [upload('4242', 26), upload('4242', 27)]
  const linked = join(dir, 'linked')
  mkdirSync(linked)
  writeFileSync(join(linked, 'precious'), 'x')
  symlinkSync(linked, join(dir, link))
  writeFileSync(join(dir, file), 'x')
  const { objects, env } = await bucket()
  const target = new BucketTarget(parseBucketOptions('s3://backups', env))
  const schedule = new BackupSchedule({
    ...{ node: leader(), target, everyMs: 1, keep: 3, room: unlimited, logger: silent },
  })
  await schedule.check()
  expect([objects.size, schedule.counts.failure]).toEqual([1, undefined])
  expect(readdirSync(dir).sort()).toEqual([...kept, link, file, 'linked'].sort())
  expect(readdirSync(linked)).toEqual(['precious'])
})

test('a backup that is larger than an object may be is refused when its header is known', async () => {
  const { env, objects } = await bucket()
  const node = new FakeNode()
  const header = {
    ...{
      clusterId: '1',
      node: 'n1',
      version: '1',
      createdAtMs: 1,
      index: 1,
      term: 1,
      hasHistory: true,
      users: 0,
    },
    kv: encodeState({ ...node.state, storeBytes: 5 * 2 ** 30 + 1 }),
    raft: Uint8Array.of(),
  }
  const chunks = async function* () {
    yield new BackupWriter().begin(header)
    throw new Error('more than the header was read')
  }
  const before = uploads()
  await expect(
    new BucketTarget(parseBucketOptions('s3://backups/x', env)).write('a', chunks(), never),
  ).rejects.toThrow('may have 5368709120 here')
  expect([objects.size, uploads()]).toEqual([0, before])
  const file = await backupOf(node)
  await expect(verifyBackup(oneChunk(file), file.length - 1)).rejects.toThrow(
    `may have ${file.length - 1} here`,
  )
  expect((await verifyBackup(oneChunk(file), file.length)).bytes).toBe(file.length)
})

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

test('a node that stops gives up the upload that has begun', async () => {
  const begun = Promise.withResolvers<void>()
  const cut = Promise.withResolvers<void>()
  const env = await served((request, response) => {
    if (request.method === 'PUT') {
      request.resume()
      response.once('close', () => cut.resolve())
      begun.resolve()
    } else response.end(listXml({ prefix: 'quorate-4242-' }))
  })
  const target = new BucketTarget(parseBucketOptions('s3://backups', env))
  const before = uploads()
  const schedule = new BackupSchedule({
    ...{ node: leader(), target, everyMs: 1, keep: 3, room: unlimited, logger: silent },
  })
  const checked = schedule.check()
  await begun.promise
  schedule.stop()
  await checked
  await cut.promise
  expect(schedule.counts.failuresTotal).toBe(0)
  expect(uploads()).toEqual(before)
})
