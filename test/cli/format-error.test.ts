import { expect, test } from 'vitest'
import { formatError } from '../../src/cli/format/error.ts'
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
