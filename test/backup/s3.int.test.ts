// Backups in a bucket: the published examples of the signature, and a strict server that computes each signature too.

import { createHash, createHmac } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { expect, onTestFinished, test } from 'vitest'
import { verifyBackup } from '../../src/backup/file.ts'
import { BackupWriter } from '../../src/backup/format.ts'
import { BucketTarget, bucketOf } from '../../src/backup/s3.ts'
import { EMPTY_HASH, signedHeaders } from '../../src/backup/signature.ts'
import { encodeState } from '../../src/kv/index.ts'
import { BackupSchedule } from '../../src/server/backup-schedule.ts'
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
    return end(200, `<List>${page.map((name) => `<Key>${escaped(name)}</Key>`).join('')}${next}</List>`)
  })
  return { objects, env }
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
  const target = new BucketTarget(bucketOf(to, env))
  const node = new FakeNode()
  node.role = 'leader'
  for (let at = 0; at < 500; at++) node.put(`key ${at}`, 'x'.repeat(1000))
  objects.set("it's a & b/quorate/letter.txt", Buffer.from('x'))
  objects.set('another prefix', Buffer.from('x'))
  const logger = {
    debug() {},
    info() {},
    warn() {},
    error: (_: object, text: string) => expect(text).toBe(''),
  }
  const schedule = new BackupSchedule({ node, target, everyMs: 1, keep: 3, logger })
  const made = new Set<string>()
  while (made.size < 5) {
    node.put('made', String(made.size))
    await schedule.check()
    for (const name of objects.keys()) if (name.endsWith('.backup')) made.add(name)
  }
  const names = [...objects.keys()].filter((name) => name.endsWith('.backup')).sort()
  expect(names).toHaveLength(3)
  const newest = objects.get(names.at(-1) ?? '') ?? Buffer.of()
  expect((await verifyBackup(oneChunk(newest))).state).toMatchObject({ keys: 501 })
  expect(objects.size).toBe(5)
})

test('a refusal names what the server says, and no secret', async () => {
  const { env } = await bucket()
  const wrong = new BucketTarget(
    bucketOf('s3://backups/x', { ...env, AWS_SECRET_ACCESS_KEY: 'wrong secret' }),
  )
  const error: unknown = await wrong.list().catch((reason: unknown) => reason)
  expect(String(error)).toMatch(/answered 403 to GET \/backups\/: SignatureDoesNotMatch/)
  expect(String(error)).not.toMatch(/wrong secret|key id/)
  expect(() => bucketOf('s3://backups', {})).toThrow('AWS_ACCESS_KEY_ID')
  expect(() => bucketOf('s3://Wrong_Name/x', env)).toThrow('it must be s3://BUCKET/PREFIX')
})

test('a list that is cut, without a place to continue, is an error', async () => {
  const env = await served((_, response) =>
    response.end('<ListBucketResult><IsTruncated>true</IsTruncated><Key>a</Key></ListBucketResult>'),
  )
  await expect(new BucketTarget(bucketOf('s3://backups', env)).list()).rejects.toThrow(
    'lists only some names',
  )
})

const uploads = () => readdirSync(tmpdir()).filter((name) => name.startsWith('quorate-upload-'))

test('answers that fail, are cut, or never come are failures with a reason, and no temporary file stays', async () => {
  const file = await backupOf(await nodeWithEverything(50))
  const answers: readonly (readonly [RegExp, RequestListener])[] = [
    [
      /answered 503 to PUT .*: SlowDown/,
      (_, response) => response.writeHead(503).end('<Code>SlowDown</Code>'),
    ],
    [/answered 500 to PUT .*: no reason/, (_, response) => response.writeHead(500).end()],
    [
      /answered 301 .*PermanentRedirect/,
      (_, response) => response.writeHead(301).end('<Code>PermanentRedirect</Code>'),
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
    const target = new BucketTarget(bucketOf('s3://backups/x', await served(answer)), 200)
    await expect(target.write('a.backup', oneChunk(file))).rejects.toThrow(reason)
    await expect(target.list()).rejects.toThrow()
  }
  expect(uploads()).toEqual(before)
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
  await expect(new BucketTarget(bucketOf('s3://backups/x', env)).write('a', chunks())).rejects.toThrow(
    'may have 5368709120 here',
  )
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
