// The page for a browser that a node refuses. Programs receive the same refusal as a problem.

import { request } from 'node:https'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { TlsFiles } from '../../../src/server/tls/tls-files.ts'
import { AS_ROOT, nodeWithUsers } from '../auth/users.ts'
import { authority, CertificateDirectory } from '../tls/certificates.ts'
import { serve, start } from './served.ts'

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
const directory = new CertificateDirectory()
afterAll(() => directory[Symbol.dispose]())
const ca = authority()
const paths = { ...directory.pair('n1', ca.node('n1')), ca: directory.write('ca.crt', ca.cert) }
const logger = { debug() {}, info() {}, warn() {}, error() {} }

interface Answer {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

const get = (port: number, accept: string | undefined, method = 'GET'): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const headers = accept === undefined ? {} : { accept }
    request(
      { host: '127.0.0.1', port, path: '/ui/', method, ca: ca.cert, headers, agent: false },
      (answer) => {
        let body = ''
        answer.on('data', (part) => {
          body += part
        })
        answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body }))
      },
    )
      .on('error', reject)
      .end()
  })

test('a browser without a certificate sees how to get one, and programs the problem', async () => {
  const files = await TlsFiles.open(paths, { logger, every: () => () => {} })
  onTestFinished(() => files.close())
  const { port, close } = await start({ node: nodeWithUsers(), tls: { files, clientCert: 'required' } })
  onTestFinished(() => close())
  const page = await get(port, BROWSER)
  expect(page.status).toBe(401)
  expect(page.headers['content-type']).toBe('text/html; charset=utf-8')
  // No browser asks for a password, which would not help.
  expect(page.headers['www-authenticate']).toBe('Bearer realm="quorate"')
  expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'; style-src 'sha256-/)
  expect(page.body).toContain('it shows no certificate')
  expect(page.body).toContain('<code>quorate cert client NAME --p12</code>')
  expect(page.body).not.toMatch(/<script|src=|href=/)
  const programs = ['application/json', 'application/problem+json']
  for (const accept of [undefined, '*/*', ...programs, ...programs.map((type) => `${BROWSER},${type}`)]) {
    const problem = await get(port, accept)
    expect([problem.status, problem.headers['content-type']]).toEqual([401, 'application/problem+json'])
    expect(JSON.parse(problem.body)).toMatchObject({ code: 'unauthenticated', status: 401 })
  }
  expect((await get(port, BROWSER, 'POST')).headers['content-type']).toBe('application/problem+json')
})

test('a browser sees each other refusal as a page too', async () => {
  const { ask } = await serve({ node: nodeWithUsers() })
  const of = async (path: string, headers: Record<string, string> = {}) =>
    ask('GET', path, { headers: { Accept: BROWSER, ...headers } })
  const refused = await of('/v1/kv/app/1')
  expect([refused.status, refused.headers['content-type']]).toEqual([401, 'text/html; charset=utf-8'])
  expect(refused.headers.vary).toContain('Accept')
  const host = await of('/ui/', { Host: '<b>.example.org' })
  expect([host.status, host.text.includes('&lt;b&gt;'), host.text.includes('<b>')]).toEqual([
    421,
    true,
    false,
  ])
  const program = await ask('GET', '/v1/kv/app/1', { headers: { Accept: '*/*' } })
  expect(program.headers['content-type']).toBe('application/problem+json')
  // Other errors stay problems.
  expect((await of('/v1/nowhere', AS_ROOT)).headers['content-type']).toBe('application/problem+json')
})
