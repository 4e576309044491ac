/** For answers in chunks, which bench/load/http-connection.ts does not decode. Rejects unless the status is 200. */
export async function getJson<Answer>(url: string): Promise<Answer> {
  const answer = await fetch(url)
  if (answer.status !== 200) throw new Error(`${url}: status ${answer.status}`)
  return (await answer.json()) as Answer
}
