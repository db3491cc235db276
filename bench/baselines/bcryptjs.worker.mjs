import bcrypt from 'bcryptjs';

export default ({ password, hash }) => bcrypt.compareSync(password, hash);
