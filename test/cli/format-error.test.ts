import { expect, test } from 'vitest'
import { formatError } from '../../src/cli/format-error.ts'
import { UnreachableError } from '../../src/client/index.ts'
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
