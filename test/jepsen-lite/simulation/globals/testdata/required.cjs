exports.text = require('./data.json').text
