import { expect, test } from 'vitest'
import { formatError } from '../../src/cli/error-message.ts'
import { QuorateError, UnavailableError, UnreachableError } from '../../src/client/index.ts'
import { PROGRAM } from '../../src/local/program-name.ts'

test.each([
  ['user', 'check --endpoints or KV_ENDPOINTS'],
  ['local cluster', `\`${PROGRAM} cluster start\` resumes the cluster here`],
  ['default', `there is no local cluster here: \`${PROGRAM} cluster start\` starts one`],
] as const)('the advice fits the endpoints of a %s', (source, advice) => {
  const error = new UnreachableError('cannot connect to http://n1:1', { code: 'unreachable', written: 'no' })
  expect(formatError(error, { kind: 'read' }, source)).toMatch(/^cannot connect to http:\/\/n1:1; /)
  expect(formatError(error, { kind: 'read' }, source)).toContain(advice)
})

test('advice on who one is does not follow a sentence that has it', () => {
  const unknown = (detail: string) =>
    new QuorateError(detail, { code: 'unauthenticated', written: 'no', status: 401, endpoint: 'http://n1:1' })
  const ghost =
    'the certificate names ghost, and there is no such user: `quorate user add ghost --no-password`'
  expect(formatError(unknown(ghost), { kind: 'write' }, 'user')).toBe(`${ghost}; nothing was written`)
  expect(formatError(unknown('rights are checked'), { kind: 'read' }, 'user')).toMatch(
    /; say who you are with/,
  )
})

test('a program that is no node is named, with the flag to check', () => {
  const cut = 'no answer within 5 s (http://n1:1: the connection was cut)'
  const timeout = new UnavailableError(cut, { code: 'timeout', written: 'no' })
  expect(formatError(timeout, { kind: 'read' }, 'user')).toBe(
    `${cut}; check --endpoints or KV_ENDPOINTS, and that a node runs there`,
  )
  const page = 'not an answer of a quorate node (status 404, text/html)'
  const other = new QuorateError(page, {
    ...{ code: 'unexpected_answer', written: 'no', status: 404, endpoint: 'http://n1:1' },
  })
  expect(formatError(other, { kind: 'read' }, 'user')).toBe(
    `http://n1:1 sent what is ${page}; check --endpoints or KV_ENDPOINTS, and that a node runs there`,
  )
})
