// The name of the subject or the issuer of an `X509Certificate`, as one line. Node.js has undefined for a name without
// attributes, against its types, and anybody can send such a certificate.

export const nameLine = (name: string | undefined): string => name?.replaceAll('\n', ', ') ?? ''
