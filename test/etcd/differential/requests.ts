// Random conversations, as fast-check draws them.

import fc from 'fast-check'
import { authConversation } from './auth-requests.ts'
import type { Step } from './conversation.ts'
import { coordinationStep } from './coordination-requests.ts'
import { weighted } from './drawn.ts'
import { keyStep } from './key-requests.ts'
import { largeStep } from './large-requests.ts'
import { maintenanceStep } from './maintenance-requests.ts'

const several = (step: fc.Arbitrary<Step>, steps: number): fc.Arbitrary<readonly Step[]> =>
  fc.array(step, { minLength: 1, maxLength: steps, size: 'max' })

/** A hundred large ranges at a time are more than a node answers. */
const oneKeyStep = keyStep.map(({ times: _, ...step }): Step => step)

/** A conversation of so many requests at most, but for its beginning. */
export const conversations = (steps: number): fc.Arbitrary<readonly Step[]> =>
  weighted<readonly Step[]>(
    [8, several(weighted([30, keyStep], [1, maintenanceStep]), steps)],
    [4, several(weighted([1, keyStep], [2, coordinationStep]), steps)],
    [2, authConversation(steps)],
    [1, several(weighted([1, oneKeyStep], [1, largeStep]), Math.ceil(steps / 4))],
  )
