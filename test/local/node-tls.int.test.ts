// `kv node start` with certificates, as in docs/guides/tls.md: the flags, SIGHUP, and the flags of the command.

import { expect, test } from 'vitest'
import { eventually, outcomeOf, Workspace } from './kv.ts'

test('a node with certificates, and the command', async () => {
  const space = await Workspace.open()
  const cert = async (...args: string[]) => expect(await space.kv('cert', ...args)).toMatchObject({ code: 0 })
  await cert('ca')
  await cert('node', 'n1', '--host', '127.0.0.1')
  await cert('client', 'alice')
  const files = (prefix: string) => [
    ...[`--${prefix}cert`, 'certs/n1.crt', `--${prefix}key`, 'certs/n1.key', `--${prefix}ca`, 'certs/ca.crt'],
  ]
  const child = space.spawn(
    ...['node', 'start', '--name', 'n1', '--data', 'n1', '--bootstrap', '--log-level', 'info'],
    ...['--listen', `127.0.0.1:${space.port}`, ...files('tls-'), '--client-cert', 'required'],
    ...['--peer-listen', '127.0.0.1:0', ...files('peer-tls-')],
  )
  let log = ''
  child.stderr?.on('data', (chunk) => {
    log += chunk
  })
  const endpoints = ['--endpoints', `https://127.0.0.1:${space.port}`]
  const trusted = [...endpoints, '--cacert', 'certs/ca.crt']
  const full = [...trusted, '--cert', 'certs/alice.crt', '--key', 'certs/alice.key']
  await eventually(async () => (await space.kv(...full, 'put', 'greeting', 'hello')).code === 0 || undefined)
  expect(await space.kv(...full, 'get', 'greeting')).toMatchObject({ code: 0, stdout: 'hello' })

  expect(await space.kv(...endpoints, 'get', 'greeting')).toMatchObject({
    code: 8,
    stderr: expect.stringMatching(/not signed by a CA that this client knows/),
  })
  expect(await space.kv(...trusted, 'get', 'greeting')).toMatchObject({
    code: 8,
    stderr: expect.stringMatching(/refuses the client: it shows no certificate; .* with --cert and --key\n$/),
  })
  expect(await space.kv(...trusted, '--cert', 'certs/alice.crt', 'get', 'greeting')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--cert and --key go together'),
  })
  expect(await space.kv(...endpoints, '--cacert', 'none.crt', 'get', 'greeting')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('cannot read none.crt'),
  })

  await cert('renew', 'n1')
  child.kill('SIGHUP')
  await eventually(async () => log.includes('were read again') || undefined)
  expect(await space.kv(...full, 'get', 'greeting')).toMatchObject({ code: 0, stdout: 'hello' })
  child.kill('SIGTERM')
  expect((await outcomeOf(child)).code).toBe(0)
})
