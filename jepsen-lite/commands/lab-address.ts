// The address of a schedule in the lab.

import { LAB_PORT } from '../../src/console/lab-port.ts'
import { formatLink, refuseForeign, withMoment } from '../lab/index.ts'
import type { Schedule } from '../sim/index.ts'

/** Programs that show or send an address may cut a longer one. */
const ADDRESS_MAX = 8000

type LabAddress =
  | { readonly address: string; readonly refusal?: undefined }
  | { readonly address: undefined; readonly refusal: string }

/** `at`: the moment at which the page shows it; undefined: the page decides. */
export function labAddress(schedule: Schedule, at: number | undefined): LabAddress {
  try {
    refuseForeign(schedule)
  } catch (error) {
    return { address: undefined, refusal: error instanceof Error ? error.message : String(error) }
  }
  const address = `http://127.0.0.1:${LAB_PORT}/#${withMoment(formatLink(schedule), at)}`
  if (address.length <= ADDRESS_MAX) return { address }
  return {
    address: undefined,
    refusal: `its address has ${address.length} characters, more than ${ADDRESS_MAX}: run \`quorate lab --open\`, and choose this file with "Open a file"`,
  }
}
