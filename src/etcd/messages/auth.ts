// etcdserverpb.Auth. Source: etcd's api/etcdserverpb/rpc.proto and api/authpb/auth.proto.

import {
  bool,
  bytes,
  enumeration,
  int64,
  type MessageOf,
  message,
  nested,
  repeated,
  text,
} from '../message.ts'
import { ResponseHeader } from './header.ts'

const header = nested(1, () => ResponseHeader)

export const PERMISSION_TYPES = ['READ', 'WRITE', 'READWRITE']

export type Permission = MessageOf<typeof Permission>
export const Permission = message({
  permType: enumeration(PERMISSION_TYPES)(1, 'permType'),
  key: bytes(2),
  /** As that of a range: empty for one key, a zero byte for all keys from the key on. */
  rangeEnd: bytes(3),
})

export type UserAddOptions = MessageOf<typeof UserAddOptions>
export const UserAddOptions = message({ noPassword: bool(1) })

/** The response of an RPC that only says that it is done. */
export type AuthResponse = MessageOf<typeof AuthResponse>
export const AuthResponse = message({ header })

/** The request of an RPC without fields. */
export type AuthRequest = MessageOf<typeof AuthRequest>
export const AuthRequest = message({})

export type AuthStatusResponse = MessageOf<typeof AuthStatusResponse>
export const AuthStatusResponse = message({
  header,
  enabled: bool(2),
  authRevision: int64(3, 'authRevision'),
})

export type AuthenticateRequest = MessageOf<typeof AuthenticateRequest>
export const AuthenticateRequest = message({ name: text(1), password: text(2) })

export type AuthenticateResponse = MessageOf<typeof AuthenticateResponse>
export const AuthenticateResponse = message({ header, token: text(2) })

export type AuthUserAddRequest = MessageOf<typeof AuthUserAddRequest>
export const AuthUserAddRequest = message({
  name: text(1),
  password: text(2),
  options: nested(3, () => UserAddOptions),
  hashedPassword: text(4, 'hashedPassword'),
})

export type AuthUserGetRequest = MessageOf<typeof AuthUserGetRequest>
export const AuthUserGetRequest = message({ name: text(1) })

export type AuthUserGetResponse = MessageOf<typeof AuthUserGetResponse>
export const AuthUserGetResponse = message({ header, roles: repeated(text(2)) })

export type AuthUserListResponse = MessageOf<typeof AuthUserListResponse>
export const AuthUserListResponse = message({ header, users: repeated(text(2)) })

export type AuthUserDeleteRequest = MessageOf<typeof AuthUserDeleteRequest>
export const AuthUserDeleteRequest = message({ name: text(1) })

export type AuthUserChangePasswordRequest = MessageOf<typeof AuthUserChangePasswordRequest>
export const AuthUserChangePasswordRequest = message({
  name: text(1),
  password: text(2),
  hashedPassword: text(3, 'hashedPassword'),
})

export type AuthUserGrantRoleRequest = MessageOf<typeof AuthUserGrantRoleRequest>
export const AuthUserGrantRoleRequest = message({ user: text(1), role: text(2) })

export type AuthUserRevokeRoleRequest = MessageOf<typeof AuthUserRevokeRoleRequest>
export const AuthUserRevokeRoleRequest = message({ name: text(1), role: text(2) })

export type AuthRoleAddRequest = MessageOf<typeof AuthRoleAddRequest>
export const AuthRoleAddRequest = message({ name: text(1) })

export type AuthRoleGetRequest = MessageOf<typeof AuthRoleGetRequest>
export const AuthRoleGetRequest = message({ role: text(1) })

export type AuthRoleGetResponse = MessageOf<typeof AuthRoleGetResponse>
export const AuthRoleGetResponse = message({ header, perm: repeated(nested(2, () => Permission)) })

export type AuthRoleListResponse = MessageOf<typeof AuthRoleListResponse>
export const AuthRoleListResponse = message({ header, roles: repeated(text(2)) })

export type AuthRoleDeleteRequest = MessageOf<typeof AuthRoleDeleteRequest>
export const AuthRoleDeleteRequest = message({ role: text(1) })

export type AuthRoleGrantPermissionRequest = MessageOf<typeof AuthRoleGrantPermissionRequest>
export const AuthRoleGrantPermissionRequest = message({ name: text(1), perm: nested(2, () => Permission) })

export type AuthRoleRevokePermissionRequest = MessageOf<typeof AuthRoleRevokePermissionRequest>
export const AuthRoleRevokePermissionRequest = message({ role: text(1), key: bytes(2), rangeEnd: bytes(3) })
