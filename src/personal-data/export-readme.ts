/** Goes into the archive as `README.txt`. */
export const exportReadme = (product: string, email: string, at: Date): string => `${product}: the data of ${email}
Made at ${at.toISOString()}. All times are UTC.

profile.json     the account
sessions.json    where it is signed in
api-keys.json    its API keys, without what they are used with
files.json       what is known of its files
files/           the files themselves, each named by its id and the name that it came with
audit-log.json   what was done by the account and to it, for as long as the server keeps it. Of entries that somebody
                 else is the cause of, the address and the program that they came from are left out
missing.json     files of files.json that could not be put into files/: deleted while this archive was made, or their
                 bytes are not in order on the server

Not in here: the password, tokens, keys and the secrets of authenticator apps, of which the server keeps no readable
copy or which would open the account to whoever finds this archive; messages in channels, which belong to their
channels; uploads that were not finished; mails that the server has sent.
`;
