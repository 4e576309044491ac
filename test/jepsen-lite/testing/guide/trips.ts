import type { Client } from '../../../../src/index.ts'
import { saga } from '../../../../src/recipes/index.ts'

async function post(url: string, key: string): Promise<void> {
  const { ok, status } = await fetch(url, { method: 'POST', headers: { 'Idempotency-Key': key } })
  if (!ok) throw new Error(`${url}: ${status}`)
}

/** Pays for a trip, and then books the hotel. */
export const trips = (kv: Client) =>
  saga(kv, 'trip', [
    {
      name: 'payment',
      run: ({ token }) => post('http://payments/charge', token),
      compensate: () => post('http://payments/refund', crypto.randomUUID()),
    },
    {
      name: 'hotel',
      run: () => Promise.reject(new Error('no room')),
    },
  ])

/** The same, with one key for all attempts to refund. */
export const tripsWithToken = (kv: Client) =>
  saga(kv, 'trip', [
    {
      name: 'payment',
      run: ({ token }) => post('http://payments/charge', token),
      compensate: ({ token }) => post('http://payments/refund', token),
    },
    {
      name: 'hotel',
      run: () => Promise.reject(new Error('no room')),
    },
  ])
