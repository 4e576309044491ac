// One operation of a caller on a node, without a wire.

import { expect } from 'vitest'
import type { Operation } from '../../../src/operations/index.ts'
import type { ApiAnswer } from '../../../src/server/api/answer.ts'
import { Api } from '../../../src/server/api/api.ts'
import type { Call, Principal } from '../../../src/server/api/call.ts'
import { execute } from '../../../src/server/api/execute.ts'
import { apiLimits } from '../../../src/server/api/limits.ts'
import type { FakeNode } from '../http/fake-node.ts'

/** Resolves to its answer. An error that is a fault of the node fails the test. */
export function executed(
  node: FakeNode,
  operation: Operation,
  principal: Principal | undefined = undefined,
  more: Partial<Call> = {},
): Promise<ApiAnswer> {
  const api = new Api({ node, limits: apiLimits, version: '', failed: (error) => expect.fail(error.message) })
  const deadline = performance.now() + 60_000
  const call: Call = { deadline, expansion: 1, isAbandoned: () => false, principal, ...more }
  return new Promise((resolve) => execute(api, operation, call, resolve))
}
